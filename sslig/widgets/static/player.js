// A page that shows and plays one recording without a kernel; its data are part of the page, as JSON.

import { createControls, flipLane, scoresTable, segmentsTable } from "./controls.js";
import { createView, SELECTION } from "./lanes.js";
import { make } from "./page.js";
import { createVerdicts, legendOf } from "./verdict.js";

const START = { smooth: false, common: false, hidden: [], maps: false, loop: false };

function start(root, { view: message, numbers, options }) {
  const state = { ...START, ...options };
  const title = make("div", { className: "sslig-heading", textContent: numbers.title });
  const problem = make("div", { role: "alert", hidden: true });
  const picked = (row) => {
    view.mark(SELECTION, row.start_s, row.end_s);
    view.seek(row.start_s);
  };
  const verdicts = createVerdicts(picked, (name) => message.lanes.find((lane) => lane.key === name)?.color);
  if (numbers.verdicts?.length || numbers.notices?.length) verdicts.show(numbers);
  root.append(title, problem, verdicts.element);
  const choose = (changed) => {
    Object.assign(state, changed);
    view.set(state);
    controls.refresh();
  };
  const view = createView(root, {
    onReady: () => choose({}),
    onTime: () => controls.playing(),
    onRegion: () => controls.refresh(),
    onError: (what) => Object.assign(problem, { textContent: what, hidden: false }),
  });
  const controls = createControls(view, () => state, choose);
  Object.assign(view.keys, controls.keys);
  const detectors = message.lanes.map((lane) => lane.key);
  detectors.slice(0, 9).forEach((key, i) => {
    view.keys[i + 1] = { label: `show or hide ${key}`, run: () => flipLane(key, () => state, choose) };
  });
  const tables = make("div", { className: "sslig-tables" }, scoresTable(numbers.scores), segmentsTable(numbers.segments, picked));
  root.append(make("p", { className: "sslig-quiet", textContent: legendOf(numbers.scores) }), controls.element, controls.help, make("details", {}, make("summary", { textContent: "Numbers" }), tables));
  view.show(message);
  return view;
}

/** In a frame, the height of the frame follows the height of the page. */
function fitFrame() {
  let frame = null;
  try {
    frame = window.frameElement;
  } catch {
    return; // a frame of another origin keeps its height
  }
  if (!frame) return;
  const fit = () => (frame.style.height = `${Math.ceil(document.body.getBoundingClientRect().height) + 14}px`);
  new ResizeObserver(fit).observe(document.body);
}

start(document.getElementById("recording"), JSON.parse(document.getElementById("data").textContent));
fitFrame();
