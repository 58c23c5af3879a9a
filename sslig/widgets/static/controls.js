// Buttons, the list of keys and the tables of numbers around a view; the explorer and exported pages share them.

import { BONAFIDE, SPOOF } from "./signals.js";
import { make } from "./page.js";
import { SELECTION } from "./lanes.js";
import { signed } from "./verdict.js";

const DIRECTIONS = { 1: ["spoof", "sslig-spoof"], "-1": ["bona fide", "sslig-bonafide"] };
const SVG = "http://www.w3.org/2000/svg";
const PLOT = { width: 84, height: 16 };

/** A toggle button; set(on) shows its state, and a click calls changed(on). */
export function toggle(label, title, changed) {
  const button = make("button", { type: "button", className: "sslig-toggle", textContent: label, title });
  const set = (on) => button.setAttribute("aria-pressed", String(Boolean(on)));
  button.addEventListener("click", () => changed(button.getAttribute("aria-pressed") !== "true"));
  set(false);
  return { element: button, set };
}

/** The buttons of a view: sound, zoom, drawing of lanes. options() returns the options, choose(options) changes them. */
export function createControls(view, options, choose) {
  const button = (label, title, run, ariaLabel = null) => make("button", { type: "button", textContent: label, title, ariaLabel, onclick: run });
  const play = button("Play", "play or pause (space)", () => view.toggle());
  const flip = (name) => () => choose({ [name]: !options()[name] });
  const hear = (what) => () => view.mute(view.heard === what ? null : what).then(refresh);
  const toggles = {
    loop: toggle("Loop", "repeat the selection (l)", flip("loop")),
    outside: toggle("Mute rest", "hear only the selection, in its place (m)", hear("outside")),
    inside: toggle("Mute selection", "hear everything except the selection (x)", hear("inside")),
    smooth: toggle("Smooth", "running median instead of single frames (s)", flip("smooth")),
    common: toggle("One scale", "one scale for all detectors (c)", flip("common")),
    maps: toggle("Layers", "evidence by layer (h)", flip("maps")),
  };
  const lanes = make("span", { className: "sslig-group" });
  const help = keyHelp(() => view.keys);
  const refresh = () => {
    for (const name of ["loop", "smooth", "common", "maps"]) toggles[name].set(options()[name]);
    for (const name of ["outside", "inside"]) toggles[name].set(view.heard === name);
    lanes.replaceChildren(...laneToggles(view, options, choose));
  };
  const group = (...children) => make("span", { className: "sslig-group" }, ...children);
  const element = make("div", { className: "sslig-controls" },
    group(play, button("Play selection", "play the selection (Enter)", () => view.playRegion()), toggles.loop.element,
      toggles.outside.element, toggles.inside.element),
    group(button("−", "zoom out (−)", () => view.zoom(0.5), "zoom out"), button("+", "zoom in (+)", () => view.zoom(2), "zoom in"),
      button("All", "show all (0)", () => view.zoom(0))),
    group(toggles.smooth.element, toggles.common.element, toggles.maps.element), lanes,
    button("? Keys", "list of keys (?)", () => help.flip()));
  const keys = {
    l: { label: "loop the selection", run: flip("loop") },
    m: { label: "mute everything except the selection", run: hear("outside") },
    x: { label: "mute the selection", run: hear("inside") },
    s: { label: "smooth or raw evidence", run: flip("smooth") },
    c: { label: "one scale for all detectors, or one for each", run: flip("common") },
    h: { label: "evidence by layer", run: flip("maps") },
    Escape: { label: "clear the selection", run: () => clearSelection(view, help) },
    "?": { label: "list of keys", run: () => help.flip() },
  };
  const playing = () => (play.textContent = view.wave?.isPlaying() ? "Pause" : "Play");
  return { element, help: help.element, keys, refresh, playing };
}

function clearSelection(view, help) {
  if (help.shown()) return help.flip();
  view.mute(null);
  view.unmark(SELECTION);
  view.handlers.onRegion?.({ key: SELECTION, lane: null, start_s: null, end_s: null, done: true });
}

/** One button for each detector; its key is a number. */
function laneToggles(view, options, choose) {
  const lanes = view.lanes.filter((lane) => lane.kind === "evidence");
  return lanes.map((lane, i) => {
    const shown = toggle(lane.name, `show or hide (${i + 1})`, () => flipLane(lane.key, options, choose));
    shown.element.style.borderBottomColor = lane.color;
    shown.set(!options().hidden.includes(lane.key));
    return shown.element;
  });
}

export function flipLane(key, options, choose) {
  const hidden = options().hidden;
  choose({ hidden: hidden.includes(key) ? hidden.filter((name) => name !== key) : [...hidden, key] });
}

const KEY_NAMES = { " ": "space", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

function keyHelp(keys) {
  const element = make("div", { className: "sslig-help", hidden: true, role: "dialog", ariaLabel: "keys" });
  const fill = () => {
    // An object lists integer keys first; here they come last.
    const entries = Object.entries(keys()).sort(([a], [b]) => /[1-9]/.test(a) - /[1-9]/.test(b));
    element.replaceChildren(make("dl", {}, ...entries.map(([key, { label }]) =>
      make("div", {}, make("dt", {}, make("kbd", { textContent: KEY_NAMES[key] ?? key })), make("dd", { textContent: label })))));
  };
  const flip = () => {
    element.hidden = !element.hidden;
    if (!element.hidden) fill();
  };
  return { element, flip, shown: () => !element.hidden };
}

// -------------------------------------------------------------------- tables

/** A table; each cell is text, an element or [text, properties]. */
export function table(headings, rows, caption) {
  const cell = (tag, content) => {
    const [text, properties] = Array.isArray(content) ? content : [content, {}];
    return make(tag, properties, text);
  };
  const head = make("tr", {}, ...headings.map((heading) => cell("th", heading)));
  const body = rows.map(({ cells, ...properties }) => make("tr", properties, ...cells.map((content) => cell("td", content))));
  const element = make("table", { className: "sslig-table" }, make("thead", {}, head), make("tbody", {}, ...body));
  if (caption) element.prepend(make("caption", { textContent: caption }));
  return make("div", { className: "sslig-scrolled" }, element);
}

const NUMBER = { className: "sslig-number" };

export function scoresTable(rows) {
  const headings = ["detector", ["score", { ...NUMBER, title: "spoof logit" }],
    ["LLR", { ...NUMBER, title: "calibrated log-likelihood ratio, natural logarithm; above 0 favours spoof" }],
    ["baseline", { ...NUMBER, title: "spoof logit of the baseline that the attribution starts from" }],
    ["residual", { ...NUMBER, title: "sum of the attribution - (score - baseline), in logits and percent" }], "status"];
  return table(headings, rows.map((row) => ({
    cells: [row.detector, [signed(row.spoof_score), NUMBER],
      [signed(row.spoof_llr), { className: `sslig-number ${row.spoof_llr > 0 ? "sslig-spoof" : "sslig-bonafide"}` }],
      [signed(row.baseline_score), NUMBER], [residual(row), NUMBER],
      [row.status, { title: `${row.steps} path points, selection ${row.selection}` }]],
  })), "Scores");
}

function residual({ residual: logits, relative_residual: share }) {
  return `${signed(logits, 3)}${share === null ? "" : ` (${(100 * share).toFixed(1)} %)`}`;
}

/** The strongest regions of each detector; a click on one calls picked(row). */
export function segmentsTable(rows, picked) {
  const headings = ["detector", "from – to (s)", ["share", { ...NUMBER, title: "share of the absolute evidence" }], "for", "segment"];
  return table(headings, rows.map((row) => {
    const [direction, className] = DIRECTIONS[row.sign];
    const time = `${row.start_s.toFixed(2)} – ${row.end_s.toFixed(2)}`;
    const pick = make("button", { type: "button", className: "sslig-link", textContent: time, title: "select this region", onclick: () => picked(row) });
    return {
      className: row.rank === 1 ? "sslig-first" : "",
      cells: [row.rank === 1 ? row.detector : "", pick, [row.share < 0.005 ? "< 1 %" : `${(100 * row.share).toFixed(0)} %`, NUMBER],
        [direction, { className }], row.segment_class],
    };
  }), "Top segments");
}

/** The change of each score, beside the changes that matched random controls make. */
export function changesTable(rows) {
  const largest = Math.max(...rows.flatMap((row) => [row.change, row.control_low, row.control_high].map((v) => Math.abs(v ?? 0))), 1e-9);
  const headings = ["space", "detector", ["before", NUMBER], ["after", NUMBER], ["change", NUMBER],
    ["random controls", { title: "dot: change; bar: central 95 % of the random controls; line: no change" }], ["as extreme", { title: "controls that move the score at least as far" }]];
  return table(headings, rows.map((row, i) => ({
    className: row.space === rows[i - 1]?.space ? "" : "sslig-first",
    cells: [[row.space === rows[i - 1]?.space ? "" : row.space, { title: row.description }], row.detector, [signed(row.spoof_score), NUMBER], [signed(row.masked_score), NUMBER],
      [signed(row.change), { ...NUMBER, className: "sslig-number sslig-change" }], besideChance(row, largest), [asExtreme(row), { className: "sslig-wrap" }]],
  })));
}

function asExtreme(row) {
  if (row.status !== "applied") return row.status;
  return row.draws ? `${row.as_extreme} of ${row.draws}` : "no control";
}

/** The change as a dot over the range of the controls. */
function besideChance(row, largest) {
  const x = (value) => (PLOT.width / 2) * (1 + (0.94 * value) / largest);
  const svg = document.createElementNS(SVG, "svg");
  const draw = (tag, values) => {
    const element = document.createElementNS(SVG, tag);
    Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
    svg.append(element);
  };
  Object.entries({ width: PLOT.width, height: PLOT.height, role: "img" }).forEach(([name, value]) => svg.setAttribute(name, value));
  svg.setAttribute("aria-label", row.draws ? `controls from ${signed(row.control_low)} to ${signed(row.control_high)}` : "no controls");
  draw("line", { x1: x(0), x2: x(0), y1: 0, y2: PLOT.height, stroke: "currentColor", opacity: 0.4 });
  if (row.draws) draw("rect", { x: x(row.control_low), width: Math.max(2, x(row.control_high) - x(row.control_low)), y: 5, height: 6, fill: "currentColor", opacity: 0.35 });
  draw("circle", { cx: x(row.change), cy: PLOT.height / 2, r: 4, fill: row.change > 0 ? SPOOF : BONAFIDE });
  return svg;
}
