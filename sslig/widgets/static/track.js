// The questions about the region of one detector: where it is, which cue, how local, whether it is heard, a comment.

import { make } from "./page.js";

const PLACE_STEP_S = 0.01;

/**
 * A card for a track {name, region, color}. words: cues, limits, locality; calls: change(values), region(start_s, end_s),
 * play(), mark("start_s" | "end_s"), propose(), active(). The card shows what show(state) is given.
 */
export class TrackCard {
  constructor(track, words, calls) {
    Object.assign(this, { track, words, calls });
    this.summary = make("span", { className: "sslig-quiet" });
    this.title = make("h3", {}, make("span", { textContent: track.name }), this.summary);
    this.title.firstChild.style.borderColor = track.color || "transparent";
    this.cues = choice("Primary cue", words.cues.map(([key, label], i) => [key, `${i + 1}  ${label}`]), (value) => this.say("cue", value));
    const [low, high] = words.locality;
    const levels = Array.from({ length: high - low + 1 }, (_, i) => [low + i, String(low + i)]);
    this.locality = choice("Locality", levels, (value) => this.say("locality", value), "spread", "spiky");
    this.audible = choice("Audible", [[true, "heard"], [false, "not heard"]], (value) => this.say("audible", value));
    this.comment = make("textarea", {
      rows: 1, maxLength: words.limits.text, dir: "auto", ariaLabel: `Comment on ${track.name}`, placeholder: "Comment (c)",
    });
    this.element = make("section", { className: "sslig-card", ariaLabel: `Region of ${track.name}` }, this.title, ...this.body());
    this.element.dataset.track = track.name;
    for (const kind of ["pointerdown", "focusin"]) this.element.addEventListener(kind, () => calls.active());
  }

  body() {
    if (!this.track.region) {
      return [make("p", { className: "sslig-quiet", textContent: "No evidence of this detector here: nothing to judge." }), this.comment];
    }
    return [this.place(), this.cues.element, make("div", { className: "sslig-pair" }, this.locality.element, this.audible.element), this.comment];
  }

  /** Start and end as numbers, and buttons for whoever does not drag. */
  place() {
    const { calls } = this;
    const time = (label) => make("input", { type: "number", step: PLACE_STEP_S, min: 0, ariaLabel: label, onchange: () => this.typed() });
    [this.start, this.end] = [time(`Start of ${this.track.name} in seconds`), time(`End of ${this.track.name} in seconds`)];
    const button = (text, title, run) => make("button", { type: "button", textContent: text, title, onclick: run });
    return make("div", { className: "sslig-place" },
      button("▶", "play the region (Enter)", calls.play),
      this.start, make("span", { textContent: "to" }), this.end, make("span", { textContent: "s" }),
      button("from here", "let the region start at the playhead (i)", () => calls.mark("start_s")),
      button("to here", "let the region end at the playhead (o)", () => calls.mark("end_s")),
      button("reset", "take the proposed region (r)", calls.propose));
  }

  typed() {
    const [start_s, end_s] = [this.start.valueAsNumber, this.end.valueAsNumber];
    if (start_s >= 0 && end_s > start_s) this.calls.region(start_s, end_s);
    else this.times(...this.shown);
  }

  /** Show where the region is, while it is dragged too. */
  times(start_s, end_s) {
    this.shown = [start_s, end_s];
    if (!this.start) return;
    [this.start.value, this.end.value] = this.shown.map((time_s) => time_s.toFixed(2));
  }

  say(field, value) {
    this.calls.change({ [this.field(field)]: value });
  }

  field(own) {
    return `${this.track.name}.${own}`;
  }

  show(state) {
    const value = (own) => state[this.field(own)];
    if (this.track.region) this.times(...this.region(state));
    this.cues.show(value("cue"));
    this.locality.show(value("locality"));
    this.audible.show(value("audible"));
    if (document.activeElement !== this.comment) this.comment.value = value("comment") ?? "";
    const open = this.missing(state);
    this.summary.textContent = !this.track.region ? "" : open.length ? `open: ${open.join(", ")}` : "✓";
  }

  /** [start_s, end_s] as marked, else as proposed. */
  region(state) {
    const marked = [state[this.field("start_s")], state[this.field("end_s")]];
    return marked.every(Number.isFinite) ? marked : this.track.region;
  }

  missing(state) {
    return this.track.region ? ["cue", "locality", "audible"].filter((own) => state[this.field(own)] === undefined) : [];
  }
}

/** A row of buttons of which one is pressed. */
function choice(label, options, chosen, before = null, after = null) {
  const buttons = options.map(([value, text]) =>
    make("button", { type: "button", role: "radio", ariaChecked: "false", textContent: text, onclick: () => chosen(value) }));
  const words = [before, after].map((text) => text && make("span", { className: "sslig-quiet", textContent: text }));
  const row = make("div", { className: "sslig-choice", role: "radiogroup", ariaLabel: label }, words[0], ...buttons, words[1]);
  return {
    element: make("div", { className: "sslig-question" }, make("span", { className: "sslig-label", textContent: label }), row),
    show(value) {
      options.forEach(([own], i) => (buttons[i].ariaChecked = String(own === value)));
    },
  };
}
