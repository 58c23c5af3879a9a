// The questions about the region of one detector: place, cue, locality, audibility, comment.

import { make } from "./page.js";

const PLACE_STEP_S = 0.01;

/**
 * A card for a track {name, region, color}. words: cues, limits, locality; calls: change(values), region(start_s, end_s),
 * play(), mark("start_s" | "end_s"), propose(), active(). show(state) displays the state of the item.
 */
export class TrackCard {
  constructor(track, words, calls) {
    Object.assign(this, { track, words, calls });
    this.summary = make("span", { className: "sslig-quiet" });
    this.title = make("h3", {}, make("span", { textContent: track.name }), this.summary);
    this.title.firstChild.style.borderColor = track.color || "transparent";
    this.cues = choice("Primary cue", words.cues.map(([key, label], i) => [key, `${i + 1}  ${label}`]), (value) => this.set("cue", value));
    const [low, high] = words.locality;
    const levels = Array.from({ length: high - low + 1 }, (_, i) => [low + i, String(low + i)]);
    this.locality = choice("Locality", levels, (value) => this.set("locality", value), "spread", "spiky");
    this.audible = choice("Audible", [[true, "heard"], [false, "not heard"]], (value) => this.set("audible", value));
    this.comment = make("textarea", {
      rows: 1, maxLength: words.limits.text, dir: "auto", ariaLabel: `Comment on ${track.name}`, placeholder: "Comment (c)",
    });
    this.element = make("section", { className: "sslig-card", ariaLabel: `Region of ${track.name}` }, this.title, ...this.body());
    this.element.dataset.track = track.name;
    for (const kind of ["pointerdown", "focusin"]) this.element.addEventListener(kind, () => calls.active());
  }

  body() {
    if (!this.track.region) {
      return [make("p", { className: "sslig-quiet", textContent: "This detector finds no evidence here, so there is nothing to judge." }), this.comment];
    }
    return [this.place(), this.cues.element, make("div", { className: "sslig-pair" }, this.locality.element, this.audible.element), this.comment];
  }

  /** Start and end as numbers, with buttons as an alternative to dragging. */
  place() {
    const { calls } = this;
    const time = (label) => make("input", { type: "number", step: PLACE_STEP_S, min: 0, ariaLabel: label, onchange: () => this.typed() });
    [this.start, this.end] = [time(`Start of ${this.track.name} in seconds`), time(`End of ${this.track.name} in seconds`)];
    const button = (text, title, run) => make("button", { type: "button", textContent: text, title, onclick: run });
    return make("div", { className: "sslig-place" },
      button("▶", "play the region (Enter)", calls.play),
      this.start, make("span", { textContent: "to" }), this.end, make("span", { textContent: "s" }),
      button("from here", "start the region at the playhead (i)", () => calls.mark("start_s")),
      button("to here", "end the region at the playhead (o)", () => calls.mark("end_s")),
      button("reset", "use the proposed region (r)", calls.propose));
  }

  typed() {
    const [start_s, end_s] = [this.start.valueAsNumber, this.end.valueAsNumber];
    if (start_s >= 0 && end_s > start_s) this.calls.region(start_s, end_s);
    else this.times(...this.shown);
  }

  /** Shows the place of the region, also during a drag. */
  times(start_s, end_s) {
    this.shown = [start_s, end_s];
    if (!this.start) return;
    [this.start.value, this.end.value] = this.shown.map((time_s) => time_s.toFixed(2));
  }

  set(field, value) {
    this.calls.change({ [this.field(field)]: value });
  }

  field(name) {
    return `${this.track.name}.${name}`;
  }

  show(state) {
    const value = (name) => state[this.field(name)];
    if (this.track.region) this.times(...this.region(state));
    this.cues.show(value("cue"));
    this.locality.show(value("locality"));
    this.audible.show(value("audible"));
    if (document.activeElement !== this.comment) this.comment.value = value("comment") ?? "";
    const open = this.missing(state);
    this.summary.textContent = !this.track.region ? "" : open.length ? `open: ${open.join(", ")}` : "✓";
  }

  /** [start_s, end_s] as marked, or else as proposed. */
  region(state) {
    const marked = [state[this.field("start_s")], state[this.field("end_s")]];
    return marked.every(Number.isFinite) ? marked : this.track.region;
  }

  missing(state) {
    return this.track.region ? ["cue", "locality", "audible"].filter((name) => state[this.field(name)] === undefined) : [];
  }
}

/** A row of buttons, at most one of them pressed. */
function choice(label, options, chosen, before = null, after = null) {
  const buttons = options.map(([value, text]) =>
    make("button", { type: "button", role: "radio", ariaChecked: "false", textContent: text, onclick: () => chosen(value) }));
  const words = [before, after].map((text) => text && make("span", { className: "sslig-quiet", textContent: text }));
  const row = make("div", { className: "sslig-choice", role: "radiogroup", ariaLabel: label }, words[0], ...buttons, words[1]);
  return {
    element: make("div", { className: "sslig-question" }, make("span", { className: "sslig-label", textContent: label }), row),
    show(value) {
      options.forEach(([option], i) => (buttons[i].ariaChecked = String(option === value)));
    },
  };
}
