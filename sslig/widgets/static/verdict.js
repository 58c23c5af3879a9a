// What each detector decides and on what, in plain sentences made from numbers; the explorer and exported pages share it.

import { make } from "./page.js";

const SPACES = { waveform: "in the recording", feature: "in the features" };
const WORDS = { 1: ["spoof", "sslig-spoof"], "-1": ["bona fide", "sslig-bonafide"] };

export function signed(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  return (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(digits);
}

/** The verdicts: verdicts.show(numbers) displays them, and a click on a region calls picked(region). */
export function createVerdicts(picked, colorOf) {
  const notes = make("div");
  const list = make("div", { role: "status", ariaLive: "polite" });
  const element = make("section", { className: "sslig-verdicts", ariaLabel: "Verdict" }, notes, list);
  const show = ({ scores, verdicts = [], notices = [], about = null }) => {
    notes.replaceChildren(...[...notices.map(noticeText), untold(about)].filter(Boolean).map((text) => make("p", { className: "sslig-notice", textContent: text })));
    list.replaceChildren(...scores.map((score) => verdictOf(score, verdicts.find((row) => row.detector === score.detector), picked, colorOf(score.detector))));
  };
  return { element, show };
}

function verdictOf(score, verdict, picked, color) {
  const known = score.threshold !== null && score.threshold !== undefined;
  const [word, className] = WORDS[score.spoof_score >= score.threshold ? 1 : -1];
  const name = make("b", { className: "sslig-title", textContent: score.detector });
  name.style.borderColor = color ?? "transparent";
  const numbers = ` ${signed(score.spoof_score)}${known ? `, threshold ${signed(score.threshold)}` : ""}, LLR ${signed(score.spoof_llr)}. `;
  return make("p", { className: "sslig-verdict" }, name, " ", known ? make("b", { className, textContent: word }) : "", numbers, ...reason(verdict, picked));
}

function reason(verdict, picked) {
  if (!verdict) return ["Its strongest evidence is being tested …"];
  if (verdict.start_s === undefined) return [verdict.why ?? "Its map is 0 everywhere: it finds no evidence."];
  const place = `${verdict.start_s.toFixed(2)}–${verdict.end_s.toFixed(2)} s`;
  const pick = make("button", { type: "button", className: "sslig-link", textContent: place, title: "select this region", onclick: () => picked(verdict) });
  const rows = ["waveform", "feature"].map((space) => verdict.changes.find((row) => row.space === space)).filter(Boolean);
  return [`Strongest evidence for ${WORDS[verdict.sign][0]} at `, pick, `. ${verdict.why ?? rows.map((row, i) => withoutIt(row, i)).join(" ")}`];
}

/** "Without it in the recording, the score falls by 0.8; random regions of the same length: −0.6 to −0.1, 2 of 20 as much." */
function withoutIt(row, place) {
  const where = place ? `${SPACES[row.space][0].toUpperCase()}${SPACES[row.space].slice(1)}` : `Without it ${SPACES[row.space]}`;
  if (row.status !== "applied") return `${where}, nothing can be tested (${row.status}).`;
  const size = Math.abs(row.change).toFixed(2);
  const change = size === "0.00" ? "the score stays" : `the score ${row.change > 0 ? "rises" : "falls"} by ${size}`;
  const chance = row.draws ? `; random regions of the same length: ${signed(row.control_low)} to ${signed(row.control_high)}, ${row.as_extreme} of ${row.draws} as much` : "";
  return `${where}, ${change}${chance}.`;
}

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

const NOTICES = {
  converted: ({ rate_hz, channels }) => `The file has ${(rate_hz / 1000).toLocaleString("en")} kHz and ${channels === 1 ? "one channel" : `${channels} channels`}; the detectors hear it averaged to one channel at 16 kHz.`,
  silent: ({ level_dbfs }) => `This recording is silent (${level_dbfs.toFixed(0)} dB of full scale): scores and evidence say nothing about speech.`,
  zeros: ({ share }) => `${percent(share)} of the frames are digital silence, samples that are exactly 0; detectors may decide on it.`,
  clipped: ({ share }) => `${percent(share)} of the samples are at full scale: the recording is clipped.`,
  recogniser: () => "Phones and words come from a recogniser of US English; in any other language they mean nothing.",
};

function noticeText(notice) {
  return NOTICES[notice.kind]?.(notice) ?? "";
}

function untold(about) {
  return about && !about.known ? "This file is not of the study: its label is unknown, and a detector knows only recordings like those it was trained on." : "";
}

/** What the colours are relative to: the start of each map, whose score need not be neutral. */
export function legendOf(scores) {
  const starts = scores.filter((row) => row.baseline_score !== null).map((row) => {
    const gap = row.threshold === null || row.threshold === undefined ? "" : `, ${signed(row.baseline_score - row.threshold)} from its threshold`;
    return `${row.detector} starts at ${signed(row.baseline_score)}${gap}`;
  });
  return `Orange speaks for spoof, blue for bona fide, relative to where each map starts: ${starts.join("; ")}. A map sums to the score minus its start, so where the start is far from the threshold one colour may prevail whatever the verdict.`;
}
