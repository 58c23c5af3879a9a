// A report on one recording, for a case file: what was examined, what the detectors decide and on what, and what this does not show.

import { make } from "./page.js";
import { createVerdicts, legendOf, signed } from "./verdict.js";

const LIMITS = [
  "A score is the opinion of one detector. It is no probability that the recording is fake; detectors err, most of all on speakers, channels and languages that they were not trained on.",
  "An LLR is calibrated on the development recordings of the study. It holds for recordings like those.",
  "A map shows what moves the score of a detector, not what a person would hear, and not how the recording was made.",
  "The score without a region shows that the region matters where it lies outside the range of random regions of the same length; with few random regions, or regions as extreme among them, it may be chance.",
  "Nobody should be accused on the strength of this page alone.",
];

function start(root, { numbers, session, picture, name }) {
  const table = (headings, rows) => make("table", {}, make("thead", {}, make("tr", {}, ...headings.map((text) => make("th", { textContent: text })))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text) => make("td", { textContent: text }))))));
  const heading = (text) => make("h2", { textContent: text });
  const { source } = numbers;
  const file = source?.sha256
    ? `${numbers.title}: ${source.codec}, ${(source.rate_hz / 1000).toLocaleString("en")} kHz, ${source.channels} channel${source.channels > 1 ? "s" : ""}, ${source.duration_s.toFixed(2)} s; SHA-256 ${source.sha256}`
    : numbers.title;
  const verdicts = createVerdicts(() => {}, () => null);
  verdicts.show(numbers);
  const questions = session.questions?.length
    ? [heading("What if?"), table(["change", "detector", "before", "after", "random controls", "as extreme"], session.questions.map((row) => [row.spec, row.detector, signed(row.spoof_score), signed(row.masked_score), row.draws ? `${signed(row.control_low)} to ${signed(row.control_high)}` : "–", row.draws ? `${row.as_extreme} of ${row.draws}` : "–"])), make("p", { className: "quiet", textContent: [...new Set(session.questions.map((row) => row.description))].join(" ") })]
    : [];
  root.append(
    make("h1", { textContent: "What do the detectors decide on?" }),
    make("button", { type: "button", className: "print", textContent: "Print, or save as PDF", onclick: () => window.print() }),
    make("p", { textContent: file }),
    make("p", { className: "quiet", textContent: `Explained: ${numbers.duration_s.toFixed(2)} s at 16 kHz, one channel. Study ${session.study}, seed ${session.seed}, sslig ${session.version}.` }),
    heading("Verdict"), verdicts.element,
    heading("Evidence over time"), make("img", { src: `data:image/png;base64,${picture}`, alt: `Spectrogram of ${name}, and the evidence of each detector over time` }),
    make("p", { className: "quiet", textContent: legendOf(numbers.scores) }),
    heading("Detectors"), table(["detector", "score", "threshold", "LLR", "map starts at", "residual", "status", "SHA-256 of the weights"], numbers.scores.map((row) => [row.detector, signed(row.spoof_score), signed(row.threshold), signed(row.spoof_llr), signed(row.baseline_score), signed(row.residual, 3), row.status, session.detectors[row.detector].slice(0, 16)])),
    ...questions,
    heading("Limits"), make("ul", {}, ...LIMITS.map((text) => make("li", { textContent: text }))),
  );
}

start(document.getElementById("report"), JSON.parse(document.getElementById("data").textContent));
