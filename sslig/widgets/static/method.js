// The instructions for annotators.

import { make } from "./page.js";

const PREPARE = [
  "Sit in a quiet room and wear headphones; loudspeakers mask what happens in pauses and above 4 kHz.",
  "Set the volume once, so that speech is comfortable and the background just audible. Then leave it.",
  "Take a break after half an hour: tired ears miss details. Everything is saved as you go.",
];

const STEPS = [
  ["Listen", "to the whole utterance at least twice, before you look at the curves."],
  ["Write down what you hear", "in a word or two: unnatural places, noise, clicks, nothing."],
  ["For each curve, check the marked region.", "The detector finds most evidence there. If another peak stands out to you, drag over it on the curve. Play the region alone, then with its surroundings."],
  ["Choose its primary cue,", "the property of the sound that explains the evidence best. Unclear / diffuse is a valid answer."],
  ["Rate locality", "from 1 (evidence spread over the utterance) to 5 (one spike), by the shape of the curve."],
  ["Decide whether it is audible:", "would you notice something in this region without the curve?"],
  ["Finally, compare the curves:", "do they point at the same places and cues, or at different ones?"],
];

const CUE_HINTS = {
  glitch: "a click, a jump, a repeated or missing instant",
  phoneme: "a speech sound that is mispronounced, slurred, or not humanly possible",
  transition: "the moment between a voiced and an unvoiced sound",
  silence: "a pause or an edge of the recording that is too clean, too short, or cut",
  breath: "breathing, or the puff of air after p, t, k",
  noise: "hiss, hum, reverberation, codec noise: the background rather than the voice",
  spectral: "a metallic, buzzing or hollow sound, missing or doubled frequencies",
  unclear: "nothing stands out, or several things do at once",
};

/** An element that explains the task. */
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
