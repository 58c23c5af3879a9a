// One recording on one clock: timeline, waveform, spectrogram, evidence of each detector, layers, labelled stretches.
//
//   const view = createView(root, { onRegion, onTime, onReady, keys });
//   view.show(message);                     another recording, as sslig.widgets.view.message returns it
//   view.set({ smooth: true });             options, see OPTIONS; recording, position and zoom stay
//   view.play() .pause() .toggle() .playRegion(key) .seek(time_s) .time() .zoom(factor) .zoom(0)
//   view.mark(key, start_s, end_s, { lane, color, label, editable, quiet })
//                                           a region: over all lanes, or over one where `lane` is its key
//   view.region(key)                        -> { key, lane, start_s, end_s } or null;  view.unmark(key)
//   view.mute("outside" | "inside" | null)  hear only the selection, everything except it, or everything
//   view.element(lane)                      the element of a lane
//   view.destroy()
//
// onRegion({ key, lane, start_s, end_s, done })   the user drew or changed a region; done = the button is released. A drag makes
//                                 the region SELECTION over all lanes, or with perLane the region <lane> over one lane.
// onTime(time_s), onReady()       the playhead moved; a recording is drawn and can be played.
// keys: { n: { label, run } }     more keys, by event.key; view.keys holds all keys with their labels.
//
// wavesurfer draws the waveform, the timeline, the regions, the line at the pointer and the playhead. Our lanes lie in its
// scrolled wrapper, so regions and playhead span them. Each lane is one canvas as wide as the window, and it is redrawn when
// the view scrolls: no canvas is wider than the screen, however long the recording. Python computes the spectrogram on the
// frame clock, so that each column shows what one frame sees.

import { decodedSamples, mutedSamples, wavBlob } from "./sound.js";
import { isDark, make, onTheme } from "./page.js";
import { HEIGHTS, evidenceLane, layerLane, prepared, spectrogramLane, tierLane, waveSides } from "./kinds.js";
import { numbers, veil } from "./signals.js";

export const SELECTION = "selection";
const SELECTION_COLOR = "rgba(230, 159, 0, 0.2)";
const SHORTEST_S = 0.02;
const NEW_S = 0.2;
const FASTEST_PX_PER_S = 2500;
const LABELS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];
const LABEL_PX = 48;
const STEP_S = { ArrowLeft: -0.1, ArrowRight: 0.1 };

/** smooth: the running median instead of single frames; common: one scale for all detectors; hidden: keys of lanes. */
const OPTIONS = { smooth: false, common: false, hidden: [], maps: false, perLane: false, loop: false };

const LOOKS = {
  light: { dark: false, ink: "#1a1a1a", paper: "#ffffff", faint: "#9a9a9a", tint: "rgba(0, 0, 0, 0.05)" },
  dark: { dark: true, ink: "#ececec", paper: "#161616", faint: "#7d7d7d", tint: "rgba(255, 255, 255, 0.08)" },
};

export function createView(root, handlers = {}) {
  return new LaneView(root, handlers);
}

class LaneView {
  constructor(root, handlers) {
    Object.assign(this, { root, handlers, options: { ...OPTIONS }, lanes: [], regions: new Map(), heard: null });
    this.body = make("div", { className: "sslig-view" });
    root.append(make("style", { textContent: STYLES }), this.body);
    root.classList.add("sslig");
    root.tabIndex = 0;
    // Without this attribute JupyterLab handles keys before our listeners.
    root.setAttribute("data-lm-suppress-shortcuts", "true");
    root.setAttribute("data-jp-suppress-context-menu", "");
    this.onKey = (event) => this.pressed(event);
    root.addEventListener("keydown", this.onKey);
    this.stopTheme = onTheme(() => this.theme());
    this.theme();
    this.keys = { ...viewKeys(this), ...handlers.keys };
  }

  // ---------------------------------------------------------------- recording and lanes

  show(message) {
    this.clear();
    this.veil = null;
    this.message = message;
    this.clock = message.clock;
    this.body.style.minHeight = `${this.body.offsetHeight}px`; // keeps the page from jumping while nothing is drawn
    this.box = make("div");
    this.body.replaceChildren(this.box);
    const plugins = (this.plugins = { regions: Regions.create(), hover: this.hoverLine(), zoom: Zoom.create({ scale: 2, maxZoom: FASTEST_PX_PER_S }) });
    const timeline = this.timeline();
    const wave = WaveSurfer.create({
      container: this.box, height: HEIGHTS.wave, waveColor: "#8a8a8a", progressColor: "#8a8a8a", cursorWidth: 2,
      cursorColor: "#d62728", autoCenter: false, plugins: [timeline, ...Object.values(plugins)],
    });
    this.wave = wave;
    this.media = wave.getMediaElement();
    this.wrapper = wave.getWrapper();
    this.scroll = this.wrapper.parentElement;
    this.fill();
    this.listen();
    this.load(message).catch((error) => this.message === message && this.fail(error));
  }

  /** Played as WAV, where browsers seek to the sample; in FLAC they cannot seek near the end. */
  async load(message) {
    const samples = await decodedSamples(numbers(message.audio));
    if (this.message !== message) return; // another recording has replaced it
    this.samples = samples;
    this.url = URL.createObjectURL(wavBlob(samples));
    await this.wave.load(this.url, waveSides(message.peaks), message.duration_s);
  }

  /** A timeline whose labels are as dense as legible at any zoom. */
  timeline() {
    const timeline = Timeline.create({ height: 18, insertPosition: "beforebegin", style: { position: "relative", fontSize: "10px" } });
    const label_s = () => LABELS_S.find((s) => s * this.perS() >= LABEL_PX) ?? LABELS_S.at(-1);
    const everyLabel = { get: label_s };
    Object.defineProperties(timeline.options, {
      timeInterval: { get: () => label_s() / 5 }, primaryLabelInterval: everyLabel, secondaryLabelInterval: everyLabel,
    });
    return timeline;
  }

  perS() {
    return this.wrapper.clientWidth / this.message.duration_s;
  }

  hoverLine() {
    return Hover.create({ lineColor: "#888", labelBackground: "#444", labelColor: "#fff", formatTimeCallback: (time_s) => `${time_s.toFixed(2)} s` });
  }

  /** Adds the lanes of a message to the scrolled wrapper of wavesurfer. */
  fill() {
    const { spectrogram, lanes = [], maps = [], tiers = [] } = this.message;
    this.wrapper.append(make("style", { textContent: STYLES }));
    this.wrapper.classList.add("sslig-wrapper");
    this.lanes = [];
    if (spectrogram) this.add(spectrogramLane(spectrogram));
    for (const lane of lanes) {
      this.add(evidenceLane(lane));
      maps.filter((map) => map.key === lane.key).forEach((map) => this.add(layerLane(map, lane)));
    }
    tiers.forEach((tier) => this.add(tierLane(tier)));
    this.theme();
  }

  add(lane) {
    lane.title = make("span", { className: "sslig-title", textContent: lane.name });
    lane.note = make("span", { className: "sslig-note", textContent: lane.caption ?? "" });
    lane.scale = make("span", { className: "sslig-note" });
    lane.readout = make("span", { className: "sslig-readout" });
    lane.canvas = make("canvas", { className: "sslig-canvas" });
    lane.canvas.style.height = `${lane.height}px`;
    lane.canvas.setAttribute("role", "img");
    lane.canvas.ariaLabel = `${lane.name}: ${lane.described}`;
    const head = make("div", { className: "sslig-head" }, lane.title, lane.note, lane.scale, lane.readout);
    lane.element = make("div", { className: `sslig-lane sslig-lane-${lane.kind}` }, head, lane.canvas);
    lane.element.dataset.lane = lane.key;
    if (lane.color) lane.title.style.borderColor = lane.color;
    this.wrapper.append(lane.element);
    this.lanes.push(lane);
  }

  /** Lays evidence in time and frequency over the spectrogram; null takes it away. */
  cover(evidence) {
    const { values, rows, columns, clock } = evidence ?? {};
    this.veil = values && { clock, image: veil(numbers(values, Float32Array), rows, columns) };
    this.redraw();
  }

  element(key) {
    return this.lanes.find((lane) => lane.key === key)?.element ?? null;
  }

  set(options) {
    Object.assign(this.options, options);
    this.layout();
  }

  listen() {
    const { wave, plugins } = this;
    wave.on("redrawcomplete", () => this.layout());
    wave.on("scroll", () => this.redraw());
    wave.on("timeupdate", (time_s) => this.played(time_s));
    wave.once("ready", () => {
      this.body.style.minHeight = "";
      this.loaded = true;
      this.waiting?.forEach(([key, ...rest]) => this.mark(key, ...rest));
      this.waiting = [];
      this.handlers.onReady?.();
    });
    wave.on("finish", () => this.options.loop && this.play(this.until_s === null ? 0 : this.begun_s, this.until_s));
    wave.on("error", (error) => this.fail(error));
    plugins.regions.enableDragSelection({ color: SELECTION_COLOR, minLength: SHORTEST_S, drag: true });
    plugins.regions.on("region-initialized", (region) => this.drawn(region));
    this.wrapper.addEventListener("pointerdown", (event) => this.down(event), { capture: true });
    this.wrapper.addEventListener("pointermove", (event) => this.hover(event));
    this.wrapper.addEventListener("pointerleave", () => this.lanes.forEach((lane) => (lane.readout.textContent = "")));
    // The wheel scrolls the page; with Ctrl, which a pinch on a touchpad sends too, it zooms.
    this.scroll.addEventListener("wheel", (event) => event.ctrlKey || event.stopImmediatePropagation(), { capture: true });
  }

  fail(error) {
    // A recording that was replaced while it was loading raises an AbortError; this is no fault.
    if (error?.name !== "AbortError" && this.message) this.handlers.onError?.(String(error?.message ?? error));
  }

  // ---------------------------------------------------------------- drawing

  theme() {
    const dark = isDark(this.root);
    this.look = dark ? LOOKS.dark : LOOKS.light;
    this.root.classList.toggle("sslig-dark", dark);
    this.wrapper?.classList.toggle("sslig-dark", dark);
    this.lanes.forEach((lane) => (lane.image = null));
    this.redraw();
  }

  layout() {
    for (const lane of this.lanes) {
      const hidden = this.options.hidden.includes(lane.key) || (lane.kind === "layers" && !this.options.maps);
      lane.element.style.display = hidden ? "none" : "";
    }
    for (const region of this.regions.values()) this.place(region);
    this.redraw();
  }

  redraw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const width = this.scroll?.clientWidth;
    if (!width) return;
    const per_s = this.perS();
    const from_s = this.scroll.scrollLeft / per_s;
    const shown = this.lanes.filter((lane) => lane.element.style.display !== "none");
    const scale = Math.max(...this.lanes.map((lane) => lane.largest ?? 0));
    for (const lane of shown) {
      const box = { width, height: lane.height, from_s, to_s: from_s + width / per_s };
      const range = this.options.common ? scale : lane.largest;
      lane.draw(prepared(lane.canvas, box), box, this, range);
      lane.scale.textContent = lane.largest === undefined || lane.plain ? "" : `±${range.toPrecision(2)} logit`;
    }
  }

  // ---------------------------------------------------------------- pointer, regions

  down(event) {
    this.root.focus({ preventScroll: true });
    this.under = event.composedPath().find((node) => node.dataset?.lane)?.dataset.lane ?? null;
  }

  hover(event) {
    const box = this.wrapper.getBoundingClientRect();
    const time_s = ((event.clientX - box.left) / box.width) * this.message.duration_s;
    for (const lane of this.lanes) lane.readout.textContent = lane.at?.(time_s, this) ?? "";
  }

  /** The user has begun to draw a region. */
  drawn(region) {
    if (region.id.startsWith("sslig-")) return; // drawn by `mark`
    const lane = this.options.perLane ? this.under : null;
    const key = lane ?? SELECTION;
    this.unmark(key);
    this.register(key, lane, region);
  }

  register(key, lane, region) {
    const entry = { key, lane, region };
    this.regions.set(key, entry);
    region.on("update", () => this.report(entry, false));
    region.on("update-end", () => this.report(entry, true));
    this.place(entry);
    // A region that is being drawn is reported once the button is released.
    const off = this.plugins.regions.on("region-created", (created) => {
      if (created === region) off();
      if (created === region && !region.id.startsWith("sslig-")) this.report(entry, true);
    });
  }

  report({ key, lane, region }, done) {
    if (done) this.remute();
    this.handlers.onRegion?.({ key, lane, start_s: region.start, end_s: region.end, done });
  }

  place({ lane, region }) {
    const element = lane && this.element(lane);
    if (!element || !region.element) return;
    Object.assign(region.element.style, { top: `${element.offsetTop}px`, height: `${element.offsetHeight}px` });
  }

  mark(key, start_s, end_s, { lane = null, color = SELECTION_COLOR, label, editable = true, quiet = true } = {}) {
    if (!this.loaded) return void (this.waiting ??= []).push([key, start_s, end_s, { lane, color, label, editable, quiet }]);
    this.unmark(key);
    const values = { start: start_s, end: end_s, color, drag: editable, resize: editable, minLength: SHORTEST_S, content: label };
    const region = this.plugins.regions.addRegion({ ...values, id: `sslig-${key}` });
    this.register(key, lane, region);
    if (!editable) region.element.style.pointerEvents = "none";
    this.remute();
    if (!quiet) this.report(this.regions.get(key), true);
  }

  unmark(key) {
    this.regions.get(key)?.region.remove();
    this.regions.delete(key);
  }

  /** Moves one end of the selection to the playhead; without a selection, it begins or ends there and is 0.2 s long. */
  bound(end) {
    const [here_s, last_s] = [this.time(), this.message.duration_s];
    const now = this.region() ?? { start_s: here_s, end_s: here_s };
    const from_s = end === "start_s" ? here_s : now.start_s < here_s ? now.start_s : Math.max(0, here_s - NEW_S);
    const to_s = end === "end_s" ? here_s : now.end_s > here_s ? now.end_s : Math.min(last_s, here_s + NEW_S);
    if (to_s > from_s) this.mark(SELECTION, from_s, to_s, { quiet: false });
  }

  region(key = SELECTION) {
    const entry = this.regions.get(key);
    return entry ? { key, lane: entry.lane, start_s: entry.region.start, end_s: entry.region.end } : null;
  }

  // ---------------------------------------------------------------- sound

  time() {
    return this.wave?.getCurrentTime() ?? 0;
  }

  seek(time_s) {
    this.wave.setTime(Math.max(0, Math.min(this.message.duration_s, time_s)));
  }

  toggle() {
    this.wave.isPlaying() ? this.pause() : this.play();
  }

  async play(start_s, end_s) {
    this.until_s = end_s ?? null;
    const region = this.region();
    if (start_s === undefined && this.options.loop && region) [start_s, this.until_s] = [region.start_s, region.end_s];
    if (start_s === undefined && this.time() >= this.message.duration_s - 0.01) start_s = 0;
    this.begun_s = start_s;
    try {
      await this.wave.play(start_s);
    } catch (error) {
      this.fail(error);
    }
  }

  pause() {
    this.until_s = null;
    this.wave.pause();
  }

  playRegion(key = SELECTION) {
    const region = this.region(key);
    if (region) this.play(region.start_s, region.end_s);
  }

  played(time_s) {
    this.handlers.onTime?.(time_s);
    if (this.until_s === null || this.until_s === undefined || time_s < this.until_s || !this.wave.isPlaying()) return;
    if (this.options.loop) return this.wave.setTime(this.begun_s);
    this.pause();
  }

  async mute(what) {
    this.heard = what;
    const region = this.region();
    const url = what && region ? this.mutedUrl(region, what === "inside") : this.url;
    const [time_s, playing] = [this.time(), this.wave.isPlaying()];
    this.media.src = url;
    this.seek(time_s);
    if (playing) await this.wave.play();
  }

  mutedUrl(region, inside) {
    URL.revokeObjectURL(this.partUrl);
    this.partUrl = URL.createObjectURL(wavBlob(mutedSamples(this.samples, region.start_s, region.end_s, inside)));
    return this.partUrl;
  }

  remute() {
    if (this.heard) this.mute(this.heard);
  }

  // ---------------------------------------------------------------- zoom, keys, removal

  /** Zooms by a factor around the playhead, or around the middle if the playhead is not visible; 0 shows everything. */
  zoom(factor) {
    if (!this.loaded) return;
    const width = this.scroll.clientWidth;
    const now = this.perS();
    const next = Math.min(FASTEST_PX_PER_S, Math.max(width / this.message.duration_s, now * factor));
    const at = this.time() * now - this.scroll.scrollLeft;
    const anchor = at >= 0 && at <= width ? at : width / 2;
    const anchor_s = (this.scroll.scrollLeft + anchor) / now;
    this.wave.zoom(next * this.message.duration_s <= width ? 0 : next);
    this.scroll.scrollLeft = anchor_s * next - anchor;
    this.redraw();
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.message) return;
    const target = event.composedPath()[0];
    if (target.closest?.("input:not([type=checkbox]), select, textarea, [contenteditable], audio")) return;
    if (target.closest?.("button, summary, a, input") && [" ", "Enter"].includes(event.key)) return; // the key of the element itself
    const key = this.keys[event.key];
    if (!key) return;
    event.preventDefault();
    event.stopPropagation();
    key.run(event);
  }

  clear() {
    this.loaded = false;
    this.waiting = [];
    this.regions.clear();
    this.message = null;
    this.heard = this.samples = this.until_s = null;
    this.wave?.destroy();
    [this.url, this.partUrl].forEach((url) => url && URL.revokeObjectURL(url));
    this.wave = this.wrapper = this.scroll = this.url = this.partUrl = null;
    this.lanes = [];
  }

  destroy() {
    this.clear();
    cancelAnimationFrame(this.frame);
    this.stopTheme();
    this.root.removeEventListener("keydown", this.onKey);
    this.body.remove();
  }
}

function viewKeys(view) {
  const key = (label, run) => ({ label, run });
  const move = ({ key: name, shiftKey }) => view.seek(view.time() + STEP_S[name] * (shiftKey ? 10 : 1));
  return {
    " ": key("play or pause", () => view.toggle()),
    Enter: key("play the selection", () => view.playRegion()),
    ArrowLeft: key("back by 0.1 s (1 s with Shift)", move),
    ArrowRight: key("forward by 0.1 s (1 s with Shift)", move),
    "[": key("begin the selection at the playhead", () => view.bound("start_s")),
    "]": key("end the selection at the playhead", () => view.bound("end_s")),
    Home: key("to the start", () => view.seek(0)),
    "+": key("zoom in", () => view.zoom(2)),
    "-": key("zoom out", () => view.zoom(0.5)),
    0: key("show everything", () => view.zoom(0)),
  };
}
