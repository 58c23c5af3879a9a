// The explorer: list of utterances, view, tables of numbers, what-if questions, file upload, exports. The kernel holds the
// state (sslig.widgets.explorer.Explorer); this module draws it and sends the actions of the user to the kernel.

import { changesTable, createControls, flipLane, scoresTable, segmentsTable } from "./controls.js";
import { createView, SELECTION } from "./lanes.js";
import { make } from "./page.js";
import { numbers } from "./signals.js";
import { decodedSamples, wavBlob } from "./sound.js";
import { createVerdicts, legendOf, signed } from "./verdict.js";

const ANY = "any";
const EXPORT = "Export …";

function render({ model, el }) {
  const root = make("div", { className: "sslig-explorer" });
  el.append(root);
  const ask = (content, buffers = []) => model.send(content, undefined, buffers);
  const put = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const parts = [createPicker, createQuestions, createNumbers, createEvidence].map((create) => create(model, ask, put));
  const [picker, questions, tables, evidence] = parts;
  const status = createStatus(model, ask);
  const offer = createOffer(model, ask);
  const pick = (row) => {
    put("selection", [row.start_s, row.end_s]);
    view.seek(row.start_s);
  };
  const verdicts = createVerdicts(pick, (name) => view.lanes.find((lane) => lane.key === name)?.color);
  const legend = make("p", { className: "sslig-quiet" });
  const main = make("div", { className: "sslig-main" });
  const side = make("div", { className: "sslig-side" }, tables.element, evidence.element, questions.element);
  const view = createView(root, {
    onReady: () => {
      showSelection();
      view.set(model.get("options"));
      controls.refresh();
      view.cover(model.get("evidence"));
      root.dataset.drawn = model.get("utterance");
    },
    onTime: () => controls.playing(),
    onError: (what) => status.say(what),
    onRegion: ({ start_s, end_s, done }) => {
      questions.selected(start_s, end_s);
      if (done) put("selection", start_s === null ? [] : [start_s, end_s]);
    },
  });
  const options = () => model.get("options");
  const choose = (changed) => put("options", { ...options(), ...changed });
  const controls = createControls(view, options, choose);
  Object.assign(view.keys, {
    n: { label: "next utterance", run: () => ask({ do: "next" }) },
    p: { label: "previous utterance", run: () => ask({ do: "previous" }) },
    w: { label: "score again without the selection", run: () => questions.region() },
  }, controls.keys);
  model.get("choices").detectors.slice(0, 9).forEach((name, i) => {
    view.keys[i + 1] = { label: `show or hide ${name}`, run: () => flipLane(name, options, choose) };
  });

  main.append(view.body, legend, controls.element, controls.help);
  root.append(picker.element, status.element, offer.element, verdicts.element, make("div", { className: "sslig-layout" }, main, side));
  const stopVerdicts = whenever(model, ["numbers"], () => {
    const numbers = model.get("numbers");
    verdicts.show(numbers);
    legend.textContent = legendOf(numbers.scores);
  });

  const showView = () => {
    delete root.dataset.drawn;
    view.show(model.get("view"));
  };
  const showSelection = () => {
    const [start_s, end_s] = model.get("selection");
    questions.selected(start_s ?? null, end_s ?? null);
    const now = view.region();
    if (now && now.start_s === start_s && now.end_s === end_s) return;
    start_s === undefined ? view.unmark(SELECTION) : view.mark(SELECTION, start_s, end_s);
  };
  tables.onPick = pick;
  const listened = {
    "change:view": showView,
    "change:selection": showSelection,
    "change:evidence": () => view.cover(model.get("evidence")),
    "change:options": () => (view.set(options()), controls.refresh()),
    "msg:custom": (content, buffers) => content.file && save(content, buffers[0]),
  };
  Object.entries(listened).forEach(([event, run]) => model.on(event, run));
  const stopDrop = acceptDrops(root, (files) => picker.upload(files));
  showView();
  ask({ do: "begin" });
  return () => {
    Object.entries(listened).forEach(([event, run]) => model.off(event, run));
    [...parts, status, offer].forEach((part) => part.stop());
    stopVerdicts();
    stopDrop();
    view.destroy();
  };
}

/** Calls run() now and on every change of one of the traits; returns a function that ends this. */
function whenever(model, traits, run) {
  const events = traits.map((name) => `change:${name}`).join(" ");
  model.on(events, run);
  run();
  return () => model.off(events, run);
}

// -------------------------------------------------------------------- choice of the recording

function createPicker(model, ask, put) {
  const choices = model.get("choices");
  const list = make("select", { className: "sslig-list", ariaLabel: "utterance", onchange: () => ask({ do: "open", name: list.value }) });
  const count = make("span", { className: "sslig-quiet" });
  const button = (label, title, run, ariaLabel = null) => make("button", { type: "button", textContent: label, title, ariaLabel, onclick: run });
  const filter = (name, value) => put("filters", { ...model.get("filters"), [name]: value });
  const search = make("input", { type: "search", placeholder: "part of a name", ariaLabel: "part of a name", oninput: () => filter("text", search.value) });
  const file = make("input", { type: "file", accept: choices.endings.join(","), multiple: true, hidden: true, onchange: () => upload([...file.files]) });
  const upload = async (files) => {
    for (const [i, chosen] of files.entries()) await sendFile(model, chosen, ask, i === 0);
  };
  const exports = make("select", { ariaLabel: "export", onchange: () => {
    if (exports.value) ask({ do: "export", kind: exports.value });
    exports.value = "";
  } }, make("option", { value: "", textContent: EXPORT }), ...Object.entries(choices.exports).map(([kind, description]) => make("option", { value: kind, textContent: description })));
  const element = make("div", { className: "sslig-picker" },
    make("div", { className: "sslig-controls" },
      make("span", { className: "sslig-group sslig-grow" }, button("‹", "previous utterance (p)", () => ask({ do: "previous" }), "previous utterance"), list, button("›", "next utterance (n)", () => ask({ do: "next" }), "next utterance"), count),
      make("span", { className: "sslig-group" }, button("Open file …", `explain a sound file of yours (${choices.endings.join(", ")}); you can also drop it here`, () => file.click()), file, exports)),
    make("details", {}, make("summary", { textContent: "Filter and sort" }),
      make("div", { className: "sslig-controls sslig-filters" }, labelled("name", search), ...columnFilters(choices, filter), ...scoreFilters(choices, filter), ...sorting(model, choices, filter, put))));
  const fill = () => {
    const { rows, total, place, start, files } = model.get("listing");
    const open = model.get("utterance");
    const option = ([name, text]) => make("option", { value: name, textContent: text });
    const more = (n, where) => (n > 0 ? [make("option", { disabled: true, textContent: `… ${n.toLocaleString("en")} ${where}: filter, or step on` })] : []);
    const alone = rows.some(([name]) => name === open) || files.includes(open) ? [] : [option([open, open])];
    const own = files.length ? [make("optgroup", { label: "your files" }, ...files.map((name) => option([name, name])))] : [];
    list.replaceChildren(...own, ...alone, ...more(start, "before"), ...rows.map(option), ...more(total - start - rows.length, "after"));
    list.value = open;
    const [all, part] = [total.toLocaleString("en"), rows.length < total ? `, ${rows.length} shown` : ""];
    count.textContent = place < 0 ? `${all} listed${part}` : `${(place + 1).toLocaleString("en")} of ${all}${part}`;
  };
  return { element, upload, stop: whenever(model, ["listing", "utterance"], fill) };
}

function labelled(text, control) {
  return make("label", { className: "sslig-labelled" }, make("span", { textContent: text }), control);
}

function columnFilters(choices, filter) {
  const words = { bonafide: "bona fide" };
  return ["key", "attack", "codec", "speaker", "group"].filter((name) => choices[name].length > 1).map((name) => {
    const options = choices[name].map((value) => make("option", { value, textContent: value === "-" ? "none" : words[value] ?? value }));
    const select = make("select", { onchange: () => filter(name, select.value) }, make("option", { value: "", textContent: ANY }), ...options);
    return labelled(name === "key" ? "label" : name, select);
  });
}

function scoreFilters(choices, filter) {
  const number = (input) => (input.value === "" || Number.isNaN(Number(input.value)) ? null : Number(input.value));
  const ends = ["low", "high"].map((name) => {
    const input = make("input", { type: "number", step: "any", className: "sslig-short", oninput: () => {
      filter("detector", which.value);
      filter(name, number(input));
    } });
    return labelled(name === "low" ? "score from" : "to", input);
  });
  const which = make("select", { onchange: () => filter("detector", which.value) }, ...choices.detectors.map((value) => make("option", { value, textContent: value })));
  return [labelled("detector", which), ...ends];
}

function sorting(model, choices, filter, put) {
  const label = (name) => (name.startsWith("-") ? `${name.slice(1)}, descending` : name);
  const order = make("select", { onchange: () => put("order", order.value) }, ...choices.orders.map((value) => make("option", { value, textContent: label(value) })));
  const explained = make("input", { type: "checkbox", checked: model.get("filters").explained !== false, onchange: () => filter("explained", explained.checked) });
  return [labelled("sort by", order), labelled("explained only", explained)];
}

/** Sends a file in parts, because notebook servers refuse large messages. */
async function sendFile(model, file, ask, shown) {
  const { part_bytes: size } = model.get("choices");
  for (let at = 0; at < Math.max(1, file.size); at += size) {
    const part = await file.slice(at, at + size).arrayBuffer();
    ask({ do: "upload", name: file.name, size: file.size, first: at === 0, shown }, [part]);
    if (file.size > model.get("choices").largest_bytes) return; // the kernel refuses it with a message
  }
}

function acceptDrops(root, take) {
  const over = (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    root.classList.add("sslig-dropping");
  };
  const leave = () => root.classList.remove("sslig-dropping");
  const drop = (event) => {
    leave();
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  };
  const listeners = { dragover: over, dragleave: leave, drop };
  Object.entries(listeners).forEach(([name, run]) => root.addEventListener(name, run));
  return () => Object.entries(listeners).forEach(([name, run]) => root.removeEventListener(name, run));
}

function save({ file, mime }, bytes) {
  const url = URL.createObjectURL(new Blob([numbers(bytes)], { type: mime }));
  const link = make("a", { href: url, download: file });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// -------------------------------------------------------------------- status, numbers, questions

/** What is offered for a file that is long: a part of it, or all of it where that is allowed. */
function createOffer(model, ask) {
  const element = make("section", { className: "sslig-problem", ariaLabel: "A long file", hidden: true });
  const stop = whenever(model, ["offer"], () => {
    const { name, duration_s, longest_s, seconds } = model.get("offer");
    element.hidden = !name;
    if (!name) return;
    const time = (value, ariaLabel) => make("input", { type: "number", min: 0, max: duration_s, step: 0.1, value, ariaLabel, className: "sslig-short" });
    const [from, to] = [time(0, "start in seconds"), time(Math.min(8, duration_s).toFixed(1), "end in seconds")];
    const clip = (start_s, end_s) => ask({ do: "clip", start_s, end_s });
    const button = (label, run) => make("button", { type: "button", textContent: label, onclick: run });
    const long = duration_s > longest_s ? `at most ${longest_s} s can be explained` : `explaining all of it takes about ${inWords(seconds)}`;
    const all = duration_s > longest_s ? "" : button("Explain all", () => clip(0, duration_s));
    element.replaceChildren(make("p", { textContent: `${name} is ${duration_s.toFixed(1)} s long; ${long}.` }),
      make("div", { className: "sslig-controls" }, "from", from, "to", to, "s", button("Explain this part", () => clip(from.valueAsNumber, to.valueAsNumber)), all));
  });
  return { element, stop };
}

function inWords(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function createStatus(model, ask) {
  const bar = make("progress", { max: 1, ariaLabel: "progress" });
  const cancel = make("button", { type: "button", textContent: "Cancel", onclick: () => ask({ do: "cancel" }) });
  const what = make("span");
  const busy = make("div", { className: "sslig-busy", hidden: true }, bar, what, cancel);
  const problem = make("div", { className: "sslig-problem", hidden: true, role: "alert" });
  const say = (text) => {
    problem.textContent = text;
    problem.hidden = !text;
  };
  const stopProgress = whenever(model, ["progress"], () => {
    const { what: text, share } = model.get("progress");
    busy.hidden = !text;
    bar.value = share ?? 0;
    what.textContent = text ?? "";
  });
  const stopProblem = whenever(model, ["problem"], () => say(model.get("problem")));
  return { element: make("div", {}, busy, problem), say, stop: () => (stopProgress(), stopProblem()) };
}

function createNumbers(model, ask) {
  const element = make("div");
  const tables = { element, onPick: () => {} };
  tables.stop = whenever(model, ["numbers"], () => {
    const { title, scores, segments, decoded } = model.get("numbers");
    const find = make("button", { type: "button", textContent: "Find segments", title: "decode speech, phones and words of this recording; takes a few seconds", onclick: () => ask({ do: "decode" }) });
    element.replaceChildren(make("div", { className: "sslig-heading", textContent: title }), scoresTable(scores), segmentsTable(segments, (row) => tables.onPick(row)), decoded ? "" : find);
  });
  return tables;
}

/** Evidence in time and frequency: computed on demand, laid over the spectrogram, and played alone or left out. */
function createEvidence(model, ask) {
  const which = make("select", { ariaLabel: "detector" }, ...model.get("choices").detectors.map((value) => make("option", { value, textContent: value })));
  const find = make("button", { type: "button", textContent: "Show", title: "takes some seconds", onclick: () => ask({ do: "grid", detector: which.value }) });
  const result = make("div");
  const element = make("div", { className: "sslig-questions" },
    make("div", { className: "sslig-heading", textContent: "Evidence in time and frequency" }),
    make("div", { className: "sslig-controls" }, make("span", { className: "sslig-group" }, which, find)), result);
  let urls = [];
  const stop = whenever(model, ["evidence"], async () => {
    const shown = model.get("evidence");
    urls.forEach((url) => URL.revokeObjectURL(url));
    urls = [];
    if (!shown.detector) return result.replaceChildren();
    const word = shown.sign > 0 ? "spoof" : "bona fide";
    const parts = [["only", `Only the evidence for ${word}`], ["without", "Without it"]];
    const rows = await Promise.all(parts.map(async ([part, label]) => {
      const url = URL.createObjectURL(wavBlob(await decodedSamples(numbers(shown[part]))));
      urls.push(url);
      return make("div", {}, make("p", { className: "sslig-quiet", textContent: `${label}: ${shown.detector} gives it ${signed(shown[`${part}_score`])}, the whole recording ${signed(shown.spoof_score)}.` }), make("audio", { controls: true, src: url, ariaLabel: `${label}, ${shown.detector}` }));
    }));
    const sure = shown.convergence === null ? "" : ` The largest sampling error is ${Math.round(100 * shown.convergence)} % of the peak.`;
    result.replaceChildren(make("p", { className: "sslig-quiet", textContent: `Colours over the spectrogram are the evidence of ${shown.detector}; what is played holds half of that for ${word}.${sure}` }), ...rows);
  });
  return { element, stop };
}

function createQuestions(model, ask) {
  const choices = model.get("choices");
  const where = make("span");
  const option = (value) => make("option", { value, textContent: value });
  const fill = make("select", { ariaLabel: "replacement", title: "what replaces the selection in the recording" }, ...choices.fills.map(option));
  fill.value = "noise";
  const region = () => ask({ do: "what_if", fill: fill.value });
  const without = make("button", { type: "button", textContent: "Remove selection", title: "score again without the selection (w)", onclick: region });
  const listId = `sslig-masks-${Math.random().toString(36).slice(2)}`;
  const spec = make("input", { type: "text", placeholder: "for example phone:vowel", ariaLabel: "mask", spellcheck: false, list: listId });
  const named = () => spec.value.trim() && ask({ do: "what_if", spec: spec.value.trim() });
  spec.addEventListener("keydown", (event) => event.key === "Enter" && named());
  const result = make("div", { className: "sslig-result" });
  const element = make("div", { className: "sslig-questions" },
    make("div", { className: "sslig-heading", textContent: "What if?" }),
    make("div", { className: "sslig-controls" }, make("span", { className: "sslig-group" }, where, fill, without)),
    make("div", { className: "sslig-controls" }, make("span", { className: "sslig-group sslig-grow" }, spec,
      make("datalist", { id: listId }, ...choices.interventions.map((value) => make("option", { value }))),
      make("button", { type: "button", textContent: "Try", title: "score again under this mask", onclick: named }))),
    result);
  const selected = (start_s, end_s) => {
    const none = start_s === null || start_s === undefined;
    where.textContent = none ? "Drag over the recording to select a region." : `${start_s.toFixed(2)} – ${end_s.toFixed(2)} s`;
    without.disabled = fill.disabled = none;
  };
  let url = null;
  const player = make("audio", { controls: true });
  const listen = make("div", { hidden: true }, make("div", { className: "sslig-quiet", textContent: "The recording after the change:" }), player);
  const stopChanges = whenever(model, ["changes"], () => {
    const rows = model.get("changes");
    const descriptions = [...new Set(rows.map((row) => row.description))];
    result.replaceChildren(...(rows.length ? [changesTable(rows), ...descriptions.map((text) => make("p", { className: "sslig-quiet", textContent: text })), listen] : []));
  });
  const stopHeard = whenever(model, ["heard"], async () => {
    const heard = model.get("heard");
    const bytes = numbers(heard);
    const sound = bytes.length ? wavBlob(await decodedSamples(bytes)) : null; // WAV, like the sound of the view
    if (heard !== model.get("heard")) return;
    listen.hidden = !sound;
    if (url) URL.revokeObjectURL(url);
    url = sound && URL.createObjectURL(sound);
    sound ? (player.src = url) : player.removeAttribute("src");
  });
  selected(null, null);
  return { element, selected, region, stop: () => (stopChanges(), stopHeard()) };
}

export default { render };
