// The annotator: one utterance at a time, what people hear in it, and the cue in the region that each detector points at.
//
// Python answers every message (sslig/widgets/annotator_session.py lists them); a change counts as saved once Python
// confirms it. Typed text is shown as text, never as markup.

import { createView } from "./lanes.js";
import { isDark, make, onTheme } from "./page.js";
import { methodText } from "./method.js";
import { Outbox, stored } from "./outbox.js";
import { TrackCard } from "./track.js";

const NAME = "sslig-annotator";
const TYPING_MS = 400;
const MARK = "rgba(230, 159, 0, 0.28)";
const PROPOSED = "rgba(128, 128, 128, 0.18)";
const SAVED = { saved: "✓ saved", saving: "saving …", lost: "not saved yet" };
const LOST = "The server does not answer. This browser keeps what you typed: reload the page once the server is back.";

export default {
  render({ model, el }) {
    const app = new Annotator(model, el);
    return () => app.destroy();
  },
};

class Annotator {
  constructor(model, root) {
    Object.assign(this, { model, root, words: model.get("words"), items: [], place: 0, state: {}, cards: [], typing: new Map() });
    this.outbox = new Outbox((message) => this.send(message), (state) => this.saved(state));
    this.onMessage = (message, buffers) => this.heard(withBytes(message, buffers));
    this.onLeave = () => this.flush();
    model.on("msg:custom", this.onMessage);
    for (const kind of ["pagehide", "beforeunload", "blur"]) window.addEventListener(kind, this.onLeave);
    document.addEventListener("visibilitychange", this.onLeave);
    this.body = make("div", { className: "sslig-annotator" });
    this.body.setAttribute("data-lm-suppress-shortcuts", "true"); // see lanes.js
    root.classList.add("sslig");
    root.append(make("style", { textContent: STYLES }), this.body); // the view adds them too, but only once it is shown
    this.theme = () => root.classList.toggle("sslig-dark", isDark(root));
    this.stopTheme = onTheme(this.theme);
    requestAnimationFrame(this.theme); // when the element is on the page
    this.viewRoot = make("div");
    this.view = createView(this.viewRoot, {
      onRegion: (region) => this.dragged(region), onTime: (time_s) => this.ticked(time_s), onReady: () => this.drawn(),
      onError: (why) => this.say(`This recording cannot be shown: ${why}`), keys: this.keys(),
    });
    const name = stored((storage) => storage.getItem(NAME));
    if (name) this.send({ kind: "start", name });
    else this.welcome();
  }

  destroy() {
    this.flush();
    this.model.off("msg:custom", this.onMessage);
    for (const kind of ["pagehide", "beforeunload", "blur"]) window.removeEventListener(kind, this.onLeave);
    document.removeEventListener("visibilitychange", this.onLeave);
    this.stopTheme();
    this.view.destroy();
  }

  send(message) {
    try {
      this.model.send(message);
    } catch {
      this.saved("lost"); // the kernel is gone; the outbox keeps the change
    }
  }

  heard(message) {
    const answers = {
      plan: () => this.start(message),
      item: () => this.open(message),
      saved: () => this.written(message),
      refused: () => this.refused(message),
      state: () => this.changed(message),
    };
    answers[message.kind]?.();
  }

  // ---------------------------------------------------------------- name of the annotator

  welcome(why = "") {
    const name = make("input", { type: "text", maxLength: this.words.limits.name, dir: "auto", ariaLabel: "Your name", autocomplete: "off", value: this.name ?? "" });
    const form = make("form", { className: "sslig-start" },
      make("label", {}, "Your name or a pseudonym; it is stored with your annotations", name),
      make("button", { type: "submit", className: "sslig-main", textContent: "Start" }),
      make("p", { className: "sslig-alert", role: "alert", textContent: why }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send({ kind: "start", name: name.value });
    });
    this.body.replaceChildren(make("h2", { textContent: `Annotate: ${this.words.title}` }), methodText(this.words.cues), form);
    name.focus({ preventScroll: true });
  }

  start({ name, items, place }) {
    stored((storage) => storage.setItem(NAME, name));
    Object.assign(this, { name, items });
    this.layout();
    this.outbox.open(`${NAME}:${this.words.title}:${name}:`);
    this.go(place);
  }

  // ---------------------------------------------------------------- the page

  layout() {
    const button = (text, title, run, className = "", ariaLabel = null) => make("button", { type: "button", textContent: text, title, className, ariaLabel, onclick: run });
    this.progress = make("progress", { max: this.items.length, value: 0, ariaLabel: "items done" });
    this.counted = make("span");
    this.status = make("span", { className: "sslig-status", role: "status" });
    this.alert = make("p", { className: "sslig-alert", role: "alert", hidden: true });
    this.jump = make("select", { ariaLabel: "Go to", onchange: () => this.go(Number(this.jump.value)) });
    this.heading = make("h2");
    this.group = make("span", { className: "sslig-quiet" });
    this.clock = make("span", { className: "sslig-clock" });
    this.comment = this.text("comment", "In a word or two, before you look at the curves (g)", 2);
    this.similarity = this.text("similarity", "The same places and cues, or different ones? (m)", 2);
    this.tracks = make("div", { className: "sslig-cards" });
    this.reveal = make("div", { className: "sslig-bar", hidden: true },
      button("Show the curves", "after you have written what you hear", () => this.unveil(), "sslig-main"),
      make("span", { className: "sslig-quiet", textContent: "Name, class and curves appear once you have written what you hear; a word is enough." }));
    this.marks = make("div", { className: "sslig-marks" });
    this.missing = make("span", { className: "sslig-quiet", role: "status" });
    const bar = make("div", { className: "sslig-bar" },
      button("‹", "previous (p)", () => this.go(this.place - 1), "", "previous item"), this.jump, button("›", "next (n)", () => this.go(this.place + 1), "", "next item"),
      button("undo", "undo the last change of this utterance (u)", () => this.back("undo")),
      button("redo", "redo it (U)", () => this.back("redo")),
      make("span", { className: "sslig-progress" }, this.progress, this.counted), this.status,
      button(this.name, "annotate under another name", () => this.leave(), "sslig-who"),
      button("method", "how to annotate", () => this.dialog("How to annotate", methodText(this.words.cues))),
      button("?", "keys", () => this.help()));
    const transport = make("div", { className: "sslig-bar" },
      button("play / pause", "play or pause (space)", () => this.view.toggle()),
      button("play region", "play the region of the active curve (Enter)", () => this.playRegion()),
      (this.loop = button("loop", "repeat the region (l)", () => this.toggleLoop(), "sslig-toggle")),
      button("−", "zoom out (-)", () => this.view.zoom(0.5), "", "zoom out"), button("+", "zoom in (+)", () => this.view.zoom(2), "", "zoom in"),
      button("all", "show all (0)", () => this.view.zoom(0)), this.clock);
    this.loop.ariaPressed = "false";
    const done = button("Done, next", "mark as done and open the next (d)", () => this.done(), "sslig-main");
    this.body.replaceChildren(bar, this.alert, make("div", { className: "sslig-heading" }, this.heading, this.group), this.viewRoot, transport,
      this.labelled("What do you hear?", this.comment), this.reveal, this.tracks, this.marks, (this.compared = this.labelled("Similarity of the curves", this.similarity)),
      make("div", { className: "sslig-bar" }, done, this.missing));
    this.body.onkeydown = (event) => this.pressed(event);
    this.body.onclick = (event) => event.detail && event.target.matches("button") && this.viewRoot.focus({ preventScroll: true });
  }

  labelled(label, field) {
    return make("label", { className: "sslig-text" }, make("span", { className: "sslig-label", textContent: label }), field);
  }

  /** A field of free text; typed text is sent after a short pause, and before any other action. */
  text(field, placeholder, rows) {
    const area = make("textarea", { rows, placeholder, dir: "auto", maxLength: this.words.limits.text });
    this.typed(area, () => field);
    return area;
  }

  typed(area, field) {
    area.addEventListener("input", () => {
      this.typing.set(field(), area.value);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.flush(), TYPING_MS);
      this.saved("saving");
    });
    area.addEventListener("blur", () => this.flush());
  }

  flush() {
    clearTimeout(this.timer);
    const typed = Object.fromEntries(this.typing);
    this.typing.clear();
    if (Object.keys(typed).length) this.change(typed);
  }

  // ---------------------------------------------------------------- navigation

  go(place) {
    if (place < 0 || place >= this.items.length) return;
    this.flush();
    this.quiet();
    delete this.body.dataset.ready;
    this.place = place;
    this.list();
    this.send({ kind: "open", item: this.items[place].handle });
  }

  /** All items by group; finished ones carry a tick. */
  list() {
    const option = (item, place) => make("option", { value: place, textContent: `${item.done ? "✓ " : ""}${item.group ? `${place + 1}  ` : ""}${item.title}` });
    const groups = new Map();
    this.items.forEach((item, place) => groups.set(item.group, [...(groups.get(item.group) ?? []), option(item, place)]));
    const parts = [...groups].flatMap(([group, options]) => {
      if (!group) return options;
      const done = this.items.filter((item) => item.group === group && item.done).length;
      return [make("optgroup", { label: `${group}: ${done} of ${options.length}` }, ...options)];
    });
    this.jump.replaceChildren(...parts);
    this.jump.value = this.place;
    const done = this.items.filter((item) => item.done).length;
    this.progress.value = done;
    this.counted.textContent = `${done} of ${this.items.length} done`;
  }

  open(message) {
    if (message.item !== this.items[this.place]?.handle) return; // another item has been opened
    this.say("");
    this.revealed = message.heard;
    this.reveal.hidden = message.heard;
    this.compared.hidden = this.marks.hidden = !message.heard;
    Object.assign(this.items[this.place], { title: message.title, group: message.group });
    this.list();
    this.state = merged(message.state, this.outbox.pending(message.item));
    this.heading.textContent = message.title;
    this.group.textContent = message.group ?? "";
    const colors = new Map(message.view.lanes.map((lane) => [lane.key, lane.color]));
    this.cards = message.tracks.map((track) => this.card({ ...track, color: colors.get(track.name) }));
    this.tracks.replaceChildren(...this.cards.map((card) => card.element));
    this.view.show(message.view);
    this.view.set({ perLane: true });
    this.cards.forEach((card) => this.mark(card));
    if (this.cards.length) this.activate(this.cards[0]);
    this.show();
    if (!this.body.contains(document.activeElement)) this.viewRoot.focus({ preventScroll: true });
  }

  card(track) {
    const card = new TrackCard(track, this.words, {
      change: (values) => this.change(values),
      region: (start_s, end_s) => this.region(card, start_s, end_s),
      play: () => this.playRegion(card),
      mark: (end) => this.markHere(card, end),
      propose: () => card.track.region && this.region(card, ...card.track.region),
      active: () => this.activate(card),
    });
    this.typed(card.comment, () => card.field("comment"));
    return card;
  }

  /** Stores what is heard, and opens the item again, now with its curves. */
  unveil() {
    this.flush();
    if (!(this.state.comment ?? "").trim()) return this.say("Write what you hear first; a word is enough.");
    this.unveiling = this.items[this.place].handle;
    if (!this.outbox.entries.size) this.reopen();
  }

  reopen() {
    const item = this.unveiling;
    this.unveiling = null;
    if (item) this.send({ kind: "open", item });
  }

  /** More regions, each with a label in own words. */
  showMarks() {
    const rows = this.state.marks ?? [];
    const change = (next) => this.change({ marks: next });
    const row = (mark, i) => {
      const label = make("input", { type: "text", value: mark.label, maxLength: 200, dir: "auto", ariaLabel: `label of region ${i + 1}`, onchange: () => change(rows.map((other, at) => (at === i ? { ...mark, label: label.value } : other))) });
      const button = (textContent, ariaLabel, run) => make("button", { type: "button", textContent, ariaLabel, title: ariaLabel, onclick: run });
      return make("div", { className: "sslig-place" }, button("▶", `play region ${i + 1}`, () => this.view.play(mark.start_s, mark.end_s)),
        make("span", { textContent: `${mark.start_s.toFixed(2)} to ${mark.end_s.toFixed(2)} s` }), label, button("✕", `remove region ${i + 1}`, () => change(rows.filter((_, at) => at !== i))));
    };
    const add = make("button", { type: "button", textContent: "Add the region of the active curve", onclick: () => {
      if (!this.active?.track.region) return;
      const [start_s, end_s] = this.active.region(this.state).map(rounded);
      change([...rows, { start_s, end_s, label: "" }]);
    } });
    this.marks.replaceChildren(make("span", { className: "sslig-label", textContent: "More regions, in your own words" }), ...rows.map(row), add);
  }

  drawn() {
    for (const card of this.cards) this.view.element(card.track.name)?.addEventListener("pointerdown", () => this.activate(card));
    if (this.cards.length) this.activate(this.active);
    this.body.dataset.ready = this.items[this.place].handle;
  }

  activate(card) {
    this.active = card;
    for (const other of this.cards) {
      other.element.classList.toggle("sslig-active", other === card);
      this.view.element(other.track.name)?.classList.toggle("sslig-active", other === card);
    }
  }

  // ---------------------------------------------------------------- answers

  /** Sets fields of the item. A judgement of a proposed region accepts the region: its place is stored too. */
  change(values) {
    for (const { track, field } of this.cards.map((card) => ({ track: card.track, field: (name) => card.field(name) }))) {
      const judged = ["cue", "locality", "audible"].some((name) => field(name) in values);
      if (judged && track.region && this.state[field("start_s")] === undefined) {
        const [start_s, end_s] = track.region.map(rounded);
        values = { [field("start_s")]: start_s, [field("end_s")]: end_s, ...values };
      }
    }
    this.state = merged(this.state, values);
    this.outbox.put(this.items[this.place].handle, values);
    this.show();
  }

  region(card, start_s, end_s) {
    const last_s = this.view.message.duration_s;
    const [from_s, to_s] = [Math.max(0, start_s), Math.min(last_s, end_s)].map(rounded);
    if (!(to_s > from_s)) return;
    this.change({ [card.field("start_s")]: from_s, [card.field("end_s")]: to_s });
    this.mark(card);
  }

  markHere(card, end) {
    if (!card?.track.region) return;
    const [start_s, end_s] = card.region(this.state);
    const here_s = this.view.time();
    if (end === "start_s") this.region(card, here_s, end_s > here_s ? end_s : here_s + 0.1);
    else this.region(card, start_s < here_s ? start_s : Math.max(0, here_s - 0.1), here_s);
  }

  /** Draws the region of a track over its curve, and behind it the proposed region where they differ. */
  mark(card) {
    const { name, region } = card.track;
    if (!region) return;
    const marked = card.region(this.state);
    const moved = marked.some((time_s, i) => rounded(time_s) !== rounded(region[i]));
    if (moved) this.view.mark(`proposed:${name}`, ...region, { lane: name, color: PROPOSED, editable: false });
    else this.view.unmark(`proposed:${name}`);
    this.view.mark(name, ...marked, { lane: name, color: MARK });
  }

  dragged({ key, start_s, end_s, done }) {
    const card = this.cards.find((other) => other.track.name === key);
    if (card?.track.region) {
      this.activate(card);
      card.times(start_s, end_s);
      if (done) this.region(card, start_s, end_s);
    } else if (done) {
      this.view.unmark(key); // drawn outside the curves: it belongs to the active one
      if (this.active?.track.region) this.region(this.active, start_s, end_s);
    }
  }

  show() {
    for (const card of this.cards) card.show(this.state);
    if (!this.marks.contains(document.activeElement) || document.activeElement.tagName !== "INPUT") this.showMarks();
    const open = this.stillOpen();
    this.missing.textContent = open.length ? `still open: ${open.join(", ")}` : "";
    for (const [field, area] of Object.entries({ comment: this.comment, similarity: this.similarity })) {
      if (!this.typing.has(field) && area.value !== (this.state[field] ?? "")) area.value = this.state[field] ?? "";
    }
  }

  back(kind) {
    this.flush();
    this.send({ kind, item: this.items[this.place].handle });
  }

  changed({ item, state, changed }) {
    if (item !== this.items[this.place].handle) return;
    this.state = merged(state, this.outbox.pending(item)); // later changes are not confirmed yet
    this.items[this.place].done = Boolean(this.state.done);
    this.list();
    this.say(changed.length ? "" : "There is nothing to undo or redo here.");
    for (const card of this.cards) {
      if (!this.typing.has(card.field("comment"))) card.comment.value = this.state[card.field("comment")] ?? "";
      this.mark(card);
    }
    this.show();
  }

  /** What has no answer yet. */
  stillOpen() {
    if (!this.revealed) return ["what you hear, then the curves"];
    return this.cards.flatMap((card) => card.missing(this.state).map((name) => `${card.track.name}: ${name}`));
  }

  done() {
    this.flush();
    const open = this.stillOpen();
    if (open.length) return this.say(`Still open: ${open.join(", ")}.`);
    this.change({ done: true });
    this.items[this.place].done = true;
    const next = [...this.items.keys()].map((step) => (this.place + 1 + step) % this.items.length).find((place) => !this.items[place].done);
    if (next === undefined) {
      this.list();
      this.say("All utterances are done. Thank you!");
    } else this.go(next);
  }

  // ---------------------------------------------------------------- saving

  written({ id }) {
    this.outbox.settled(id);
    if (this.unveiling && !this.outbox.entries.size) this.reopen();
  }

  refused({ id, item, why, again }) {
    if (!item) return this.welcome(why); // the name
    this.say(`Not accepted: ${why}`);
    if (id && again) this.outbox.later(id);
    else if (id) this.outbox.settled(id);
    if (id && !again && item === this.items[this.place]?.handle) this.send({ kind: "open", item });
  }

  saved(state) {
    if (!this.status) return;
    const now = state === "saved" && this.typing.size ? "saving" : state;
    this.status.textContent = SAVED[now];
    this.status.dataset.state = now;
    if (now === "lost") this.say(LOST);
    else if (this.alert.textContent === LOST) this.say("");
  }

  say(text) {
    this.alert.textContent = text;
    this.alert.hidden = !text;
  }

  // ---------------------------------------------------------------- sound, keys, help

  playRegion(card = this.active) {
    if (card?.track.region) this.view.play(...card.region(this.state));
  }

  quiet() {
    if (this.view.wave) this.view.pause();
  }

  toggleLoop() {
    this.view.set({ loop: !this.view.options.loop });
    this.loop.ariaPressed = String(this.view.options.loop);
  }

  ticked(time_s) {
    this.clock.textContent = `${time_s.toFixed(2)} s`;
  }

  leave() {
    this.flush();
    if (this.outbox.entries.size) return this.say("Wait until everything is saved, then change the name.");
    this.quiet();
    this.welcome();
  }

  next(by) {
    const at = this.cards.indexOf(this.active);
    this.activate(this.cards[(at + by + this.cards.length) % this.cards.length]);
    this.active.element.scrollIntoView({ block: "nearest" });
  }

  level(by) {
    const [low, high] = this.words.locality;
    const now = this.state[this.active.field("locality")] ?? (by > 0 ? low - 1 : high + 1);
    this.active.set("locality", Math.max(low, Math.min(high, now + by)));
  }

  /** Keys, by event.key; the view adds more. */
  keys() {
    const key = (label, run) => ({ label, run });
    const judge = (run) => () => this.active?.track.region && run();
    const cues = this.words.cues.map(([value, label], i) => [i + 1, key(`cue: ${label}`, judge(() => this.active.set("cue", value)))]);
    return {
      Enter: key("play the region of the active curve", () => this.playRegion()),
      l: key("loop the region", () => this.toggleLoop()),
      t: key("next curve", () => this.next(1)),
      T: key("previous curve", () => this.next(-1)),
      ...Object.fromEntries(cues),
      ",": key("locality: more spread", judge(() => this.level(-1))),
      ".": key("locality: more spiky", judge(() => this.level(1))),
      h: key("audible or not", judge(() => this.active.set("audible", !this.state[this.active.field("audible")]))),
      i: key("start the region at the playhead", () => this.markHere(this.active, "start_s")),
      o: key("end the region at the playhead", () => this.markHere(this.active, "end_s")),
      r: key("use the proposed region", judge(() => this.region(this.active, ...this.active.track.region))),
      g: key("write what you hear", () => this.comment.focus()),
      c: key("write a comment on the active curve", () => this.active?.comment.focus()),
      m: key("write about similarity", () => this.similarity.focus()),
      u: key("undo", () => this.back("undo")),
      U: key("redo", () => this.back("redo")),
      n: key("next utterance", () => this.go(this.place + 1)),
      p: key("previous utterance", () => this.go(this.place - 1)),
      d: key("mark as done, open the next", () => this.done()),
      "?": key("list of keys", () => this.help()),
    };
  }

  pressed(event) {
    if (event.key === "Escape" && event.target.matches("textarea, input")) return this.viewRoot.focus({ preventScroll: true });
    if (!this.viewRoot.contains(event.target)) this.view.pressed(event); // inside, the view handles it
  }

  help() {
    const name = (key) => ({ " ": "space", ArrowLeft: "←", ArrowRight: "→" })[key] ?? key;
    const keys = Object.entries({ ...this.view.keys, Escape: { label: "leave a text field" } });
    this.dialog("Keys", make("dl", { className: "sslig-keylist" }, ...keys.flatMap(([key, { label }]) =>
      [make("dt", {}, make("kbd", { textContent: name(key) })), make("dd", { textContent: label })])));
  }

  dialog(title, content) {
    const close = make("button", { type: "button", textContent: "close", onclick: () => box.close() });
    const closed = () => {
      box.remove();
      this.viewRoot.focus({ preventScroll: true });
    };
    const box = make("dialog", { className: "sslig-dialog", ariaLabel: title, onclose: closed },
      make("div", { className: "sslig-heading" }, make("h2", { textContent: title }), close), content);
    this.body.append(box);
    box.showModal();
  }
}

/** The message with its buffers in the places of {"bytes": number}. */
function withBytes(value, buffers) {
  if (Array.isArray(value)) return value.map((part) => withBytes(part, buffers));
  if (value === null || typeof value !== "object") return value;
  if (Object.keys(value).length === 1 && value.bytes !== undefined) return buffers[value.bytes];
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withBytes(part, buffers)]));
}

/** The state with changed values; null removes a field, as in the store. */
function merged(state, values) {
  return Object.fromEntries(Object.entries({ ...state, ...values }).filter(([, value]) => value !== null));
}

function rounded(time_s) {
  return Math.round(1000 * time_s) / 1000;
}
