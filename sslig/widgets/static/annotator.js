// The annotator: one utterance at a time, what is heard in it, and what is in the region that each detector points at.
//
// Python answers every message (sslig/widgets/annotator_session.py says which there are); a change counts as saved when
// Python says so. Whatever people typed is shown as text, never as markup.

import { createView } from "./lanes.js";
import { isDark, make, onTheme } from "./page.js";
import { methodText } from "./method.js";
import { kept, Outbox } from "./outbox.js";
import { TrackCard } from "./track.js";

const NAME = "sslig-annotator";
const TYPING_MS = 400;
const MARK = "rgba(230, 159, 0, 0.28)";
const PROPOSED = "rgba(128, 128, 128, 0.18)";
const SAVED = { saved: "✓ saved", saving: "saving …", lost: "not saved yet" };
const LOST = "The server does not answer. What you typed is kept in this browser: reload the page once the server is back.";

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
    this.body.setAttribute("data-lm-suppress-shortcuts", "true"); // of JupyterLab, as in the view
    root.classList.add("sslig");
    root.append(make("style", { textContent: STYLES }), this.body); // the view brings its own, but only once it is shown
    this.theme = () => root.classList.toggle("sslig-dark", isDark(root));
    this.stopTheme = onTheme(this.theme);
    requestAnimationFrame(this.theme); // once it is on the page
    this.viewRoot = make("div");
    this.view = createView(this.viewRoot, {
      onRegion: (region) => this.dragged(region), onTime: (time_s) => this.ticked(time_s), onReady: () => this.drawn(),
      onError: (why) => this.say(`This recording cannot be shown: ${why}`), keys: this.keys(),
    });
    const name = kept((storage) => storage.getItem(NAME));
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
      this.saved("lost"); // the kernel is gone; the outbox keeps what was to be said
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

  // ---------------------------------------------------------------- who annotates

  welcome(why = "") {
    const name = make("input", { type: "text", maxLength: this.words.limits.name, dir: "auto", ariaLabel: "Your name", autocomplete: "off", value: this.name ?? "" });
    const form = make("form", { className: "sslig-start" },
      make("label", {}, "Your name or a pseudonym; it is stored with what you say", name),
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
    kept((storage) => storage.setItem(NAME, name));
    Object.assign(this, { name, items });
    this.layout();
    this.outbox.open(`${NAME}:${this.words.title}:${name}:`);
    this.go(place);
  }

  // ---------------------------------------------------------------- the page

  layout() {
    const button = (text, title, run, className = "") => make("button", { type: "button", textContent: text, title, className, onclick: run });
    this.progress = make("progress", { max: this.items.length, value: 0 });
    this.told = make("span");
    this.status = make("span", { className: "sslig-status", role: "status" });
    this.alert = make("p", { className: "sslig-alert", role: "alert", hidden: true });
    this.jump = make("select", { ariaLabel: "Go to", onchange: () => this.go(Number(this.jump.value)) });
    this.heading = make("h2");
    this.group = make("span", { className: "sslig-quiet" });
    this.clock = make("span", { className: "sslig-clock" });
    this.comment = this.text("comment", "In a word or two, before you look at the curves (g)", 2);
    this.similarity = this.text("similarity", "The same places and cues, or different ones? (m)", 2);
    this.tracks = make("div", { className: "sslig-cards" });
    const bar = make("div", { className: "sslig-bar" },
      button("‹", "previous (p)", () => this.go(this.place - 1)), this.jump, button("›", "next (n)", () => this.go(this.place + 1)),
      button("undo", "take back the last change here (u)", () => this.back("undo")),
      button("redo", "bring it back (U)", () => this.back("redo")),
      make("span", { className: "sslig-progress" }, this.progress, this.told), this.status,
      button(this.name, "annotate under another name", () => this.leave(), "sslig-who"),
      button("method", "how to annotate", () => this.dialog("How to annotate", methodText(this.words.cues))),
      button("?", "keys", () => this.help()));
    const transport = make("div", { className: "sslig-bar" },
      button("play / pause", "play or pause (space)", () => this.view.toggle()),
      button("play region", "play the region of the active curve (Enter)", () => this.playRegion()),
      (this.loop = button("loop", "repeat the region (l)", () => this.toggleLoop(), "sslig-toggle")),
      button("−", "zoom out (-)", () => this.view.zoom(0.5)), button("+", "zoom in (+)", () => this.view.zoom(2)),
      button("all", "show all (0)", () => this.view.zoom(0)), this.clock);
    this.loop.ariaPressed = "false";
    const done = button("Done, next", "mark as done and go on (d)", () => this.done(), "sslig-main");
    this.body.replaceChildren(bar, this.alert, make("div", { className: "sslig-heading" }, this.heading, this.group), this.viewRoot, transport,
      this.labelled("What do you hear?", this.comment), this.tracks, this.labelled("Similarity of the curves", this.similarity),
      make("div", { className: "sslig-bar" }, done));
    this.body.onkeydown = (event) => this.pressed(event);
    this.body.onclick = (event) => event.detail && event.target.matches("button") && this.viewRoot.focus({ preventScroll: true });
  }

  labelled(label, field) {
    return make("label", { className: "sslig-text" }, make("span", { className: "sslig-label", textContent: label }), field);
  }

  /** A field of free text: what is typed is sent after a short pause, and before anything else happens. */
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

  // ---------------------------------------------------------------- from item to item

  go(place) {
    if (place < 0 || place >= this.items.length) return;
    this.flush();
    this.quiet();
    delete this.body.dataset.ready;
    this.place = place;
    this.list();
    this.send({ kind: "open", item: this.items[place].handle });
  }

  /** All items by group, done ones ticked. */
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
    this.told.textContent = `${done} of ${this.items.length} done`;
  }

  open(message) {
    if (message.item !== this.items[this.place]?.handle) return; // gone on meanwhile
    this.say("");
    this.state = merged(message.state, this.outbox.pending(message.item));
    this.heading.textContent = message.title;
    this.group.textContent = message.group ?? "";
    const colors = new Map(message.view.lanes.map((lane) => [lane.key, lane.color]));
    this.cards = message.tracks.map((track) => this.card({ ...track, color: colors.get(track.name) }));
    this.tracks.replaceChildren(...this.cards.map((card) => card.element));
    this.view.show(message.view);
    this.view.set({ perLane: true });
    this.cards.forEach((card) => this.mark(card));
    this.activate(this.cards[0]);
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

  drawn() {
    for (const card of this.cards) this.view.element(card.track.name)?.addEventListener("pointerdown", () => this.activate(card));
    this.activate(this.active);
    this.body.dataset.ready = this.items[this.place].handle;
  }

  activate(card) {
    this.active = card;
    for (const one of this.cards) {
      one.element.classList.toggle("sslig-active", one === card);
      this.view.element(one.track.name)?.classList.toggle("sslig-active", one === card);
    }
  }

  // ---------------------------------------------------------------- what is said

  /** Set fields of the item. Who judges a region as proposed has accepted it: its place is stored with the judgement. */
  change(values) {
    for (const { track, field } of this.cards.map((card) => ({ track: card.track, field: (own) => card.field(own) }))) {
      const judged = ["cue", "locality", "audible"].some((own) => field(own) in values);
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

  /** The region of a track over its curve; the proposed one stays behind it where it is another. */
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
    const card = this.cards.find((one) => one.track.name === key);
    if (card?.track.region) {
      this.activate(card);
      card.times(start_s, end_s);
      if (done) this.region(card, start_s, end_s);
    } else if (done) {
      this.view.unmark(key); // drawn beside the curves: it is meant for the active one
      if (this.active?.track.region) this.region(this.active, start_s, end_s);
    }
  }

  show() {
    for (const card of this.cards) card.show(this.state);
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
    this.state = merged(state, this.outbox.pending(item)); // what was said since is still on its way
    this.items[this.place].done = Boolean(this.state.done);
    this.list();
    this.say(changed.length ? "" : "Nothing left to take back or to bring back here.");
    for (const card of this.cards) {
      if (!this.typing.has(card.field("comment"))) card.comment.value = this.state[card.field("comment")] ?? "";
      this.mark(card);
    }
    this.show();
  }

  done() {
    this.flush();
    const open = this.cards.flatMap((card) => card.missing(this.state).map((own) => `${card.track.name}: ${own}`));
    if (open.length) return this.say(`Still open: ${open.join(", ")}.`);
    this.change({ done: true });
    this.items[this.place].done = true;
    const next = [...this.items.keys()].map((one) => (this.place + 1 + one) % this.items.length).find((one) => !this.items[one].done);
    if (next === undefined) {
      this.list();
      this.say("All are done. Thank you!");
    } else this.go(next);
  }

  // ---------------------------------------------------------------- saved or not

  written({ id }) {
    this.outbox.settled(id);
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
    if (this.outbox.entries.size) return this.say("Wait until all is saved, then change the name.");
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
    this.active.say("locality", Math.max(low, Math.min(high, now + by)));
  }

  /** Keys, by event.key; those of the view stand beside them. */
  keys() {
    const key = (label, run) => ({ label, run });
    const judge = (run) => () => this.active?.track.region && run();
    const cues = this.words.cues.map(([value, label], i) => [i + 1, key(`cue: ${label}`, judge(() => this.active.say("cue", value)))]);
    return {
      Enter: key("play the region of the active curve", () => this.playRegion()),
      l: key("loop the region", () => this.toggleLoop()),
      t: key("next curve", () => this.next(1)),
      T: key("previous curve", () => this.next(-1)),
      ...Object.fromEntries(cues),
      ",": key("locality: more spread", judge(() => this.level(-1))),
      ".": key("locality: more spiky", judge(() => this.level(1))),
      h: key("heard or not", judge(() => this.active.say("audible", !this.state[this.active.field("audible")]))),
      i: key("the region starts at the playhead", () => this.markHere(this.active, "start_s")),
      o: key("the region ends at the playhead", () => this.markHere(this.active, "end_s")),
      r: key("take the proposed region", judge(() => this.region(this.active, ...this.active.track.region))),
      g: key("write what you hear", () => this.comment.focus()),
      c: key("write a comment on the active curve", () => this.active?.comment.focus()),
      m: key("write on similarity", () => this.similarity.focus()),
      u: key("undo", () => this.back("undo")),
      U: key("redo", () => this.back("redo")),
      n: key("next utterance", () => this.go(this.place + 1)),
      p: key("previous utterance", () => this.go(this.place - 1)),
      d: key("done, next", () => this.done()),
      "?": key("these keys", () => this.help()),
    };
  }

  pressed(event) {
    if (event.key === "Escape" && event.target.matches("textarea, input")) return this.viewRoot.focus({ preventScroll: true });
    if (!this.viewRoot.contains(event.target)) this.view.pressed(event); // inside, the view has heard it itself
  }

  help() {
    const name = (key) => ({ " ": "space", ArrowLeft: "←", ArrowRight: "→" })[key] ?? key;
    const keys = Object.entries({ ...this.view.keys, Escape: { label: "leave a field of text" } });
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

/** A message with the bytes in place of {"bytes": number}. */
function withBytes(value, buffers) {
  if (Array.isArray(value)) return value.map((one) => withBytes(one, buffers));
  if (value === null || typeof value !== "object") return value;
  if (Object.keys(value).length === 1 && value.bytes !== undefined) return buffers[value.bytes];
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withBytes(one, buffers)]));
}

/** Fields with other values; null takes one away, as in the store. */
function merged(state, values) {
  return Object.fromEntries(Object.entries({ ...state, ...values }).filter(([, value]) => value !== null));
}

function rounded(time_s) {
  return Math.round(1000 * time_s) / 1000;
}
