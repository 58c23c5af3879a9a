// How to annotate, as annotators read it.

import { make } from "./page.js";

const PREPARE = [
  "Sit in a quiet room and wear headphones; loudspeakers hide what happens in pauses and above 4 kHz.",
  "Set the volume once, so that speech is comfortable and the background just audible, and leave it there.",
  "Take a break after half an hour: a tired ear hears less. Everything is saved as you go.",
];

const STEPS = [
  ["Listen", "to the whole utterance at least twice, before you look at the curves."],
  ["Say what you hear", "in a word or two: unnatural places, noise, clicks, nothing."],
  ["For each curve, check the marked region.", "It is where the detector finds most evidence. Drag on the curve if the peak that stands out to you lies elsewhere. Play the region, then with its surroundings."],
  ["Choose its primary cue,", "the one property of the sound there that explains the evidence best. Unclear / diffuse is an answer too."],
  ["Rate locality", "from 1 (evidence spread over the utterance) to 5 (one spike), by the shape of the curve."],
  ["Say whether you hear it:", "would you notice something in this region without the curve?"],
  ["At the end, compare the curves:", "do they point at the same places and cues, or at different ones?"],
];

const CUE_HINTS = {
  glitch: "a click, a jump, a repeated or missing instant",
  phoneme: "a sound of speech that is said wrongly, slurred, or like no human mouth",
  transition: "the moment between a voiced and an unvoiced sound",
  silence: "a pause, or the edges of the recording: too clean, too short, cut",
  breath: "breathing, or the puff of air after p, t, k",
  noise: "hiss, hum, room, codec: the background rather than the voice",
  spectral: "metallic, buzzing or hollow sound, missing or doubled frequencies",
  unclear: "nothing that stands out, or several things at once",
};

/** The page that explains the task. */
export function methodText(cues) {
  const entry = ([lead, rest]) => make("li", {}, make("strong", { textContent: `${lead} ` }), rest);
  return make("div", { className: "sslig-method" },
    make("h3", { textContent: "Before you begin" }),
    make("ul", {}, ...PREPARE.map((text) => make("li", { textContent: text }))),
    make("h3", { textContent: "For each utterance" }),
    make("ol", {}, ...STEPS.map(entry)),
    make("h3", { textContent: "The cues" }),
    make("dl", {}, ...cues.flatMap(([key, label]) => [make("dt", { textContent: label }), make("dd", { textContent: CUE_HINTS[key] ?? "" })])));
}
