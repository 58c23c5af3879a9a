// The kinds of lanes of a view. Each is { key, kind, name, caption, height, draw(context, box, view, scale), at(time_s, view) }:
// draw() draws it on its canvas, at() returns the text for a moment. view.py describes the messages that lanes are made from.

import { drawEvidence, drawPicture, drawStretches, drawUnread, evidenceColors, loudnessColors, numbers, picture } from "./signals.js";

export const HEIGHTS = { wave: 72, spectrogram: 132, evidence: 76, tier: 22, layer: 9, fewestLayers: 48 };

export function spectrogramLane({ values, rows, columns, clock, ticks, unit }) {
  const bands = numbers(values);
  return {
    key: "spectrogram", kind: "spectrogram", name: "mel spectrogram", caption: unit, height: HEIGHTS.spectrogram, described: "loudness by time and frequency",
    draw(context, box, view) {
      this.image ??= picture(bands, rows, columns, loudnessColors(view.look));
      drawPicture(context, box, clock, this.image);
      if (view.veil) drawPicture(context, box, view.veil.clock, view.veil.image);
      context.font = "10px system-ui, sans-serif";
      for (const [share, label] of ticks) {
        const y = box.height * (1 - share);
        context.fillStyle = view.look.faint;
        context.fillRect(0, y, 5, 1);
        outlined(context, label, 8, y + 3, view.look);
      }
    },
  };
}

/** A plain lane hides the direction and the unit of the evidence: it shows magnitudes in grey, from the bottom up. */
export function evidenceLane({ key, name, note, frames, trend, color, read_s = null, plain = false }) {
  const [values, running] = [numbers(frames, Float32Array), numbers(trend, Float32Array)];
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return {
    key, kind: "evidence", name, caption: note, color, largest, plain, height: HEIGHTS.evidence, described: plain ? "evidence over time" : evidenceInWords(values),
    draw(context, box, view, scale) {
      const smooth = view.options.smooth;
      drawEvidence(context, box, view.clock, smooth ? running : values, smooth ? null : running, scale, view.look, plain);
      if (read_s !== null) drawUnread(context, box, read_s, view.look);
    },
    at(time_s, view) {
      if (plain) return "";
      if (read_s !== null && time_s > read_s) return "not read";
      const frame = Math.floor((time_s - view.clock.start_s) / view.clock.hop_s);
      const value = (view.options.smooth ? running : values)[frame];
      return value === undefined ? "" : `${value > 0 ? "+" : ""}${value.toPrecision(2)} at ${time_s.toFixed(2)} s`;
    },
  };
}

/** What a reader who does not see the curve needs of it. */
function evidenceInWords(values) {
  const sum = (sign) => values.reduce((total, value) => total + Math.max(0, sign * value), 0);
  const [spoof, bonafide] = [sum(1), sum(-1)];
  if (spoof + bonafide === 0) return "no evidence";
  return `${Math.round((100 * spoof) / (spoof + bonafide))} % of the evidence is for spoof, the rest for bona fide`;
}

export function layerLane({ key, values, rows, columns }, { name }) {
  const cells = numbers(values, Float32Array);
  const largest = cells.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return {
    key, kind: "layers", name: `${name}, by layer`, caption: `layer 0 at the bottom, ${rows - 1} on top`,
    height: Math.max(HEIGHTS.fewestLayers, rows * HEIGHTS.layer), described: "evidence by layer and time",
    draw(context, box, view) {
      this.image ??= picture(cells, rows, columns, evidenceColors(largest, view.look));
      drawPicture(context, box, view.clock, this.image);
    },
  };
}

export function tierLane({ key, name, stretches }) {
  return {
    key, kind: "tier", name, height: HEIGHTS.tier, described: stretches.slice(0, 60).map(([, , label]) => label).join(", "),
    draw: (context, box, view) => drawStretches(context, box, stretches, view.look),
    at: (time_s) => stretches.find(([start_s, end_s]) => time_s >= start_s && time_s < end_s)?.[2] ?? "",
  };
}

/** Text that is legible on any background. */
function outlined(context, text, x, y, look) {
  context.strokeStyle = look.paper;
  context.lineWidth = 3;
  context.strokeText(text, x, y);
  context.fillStyle = look.ink;
  context.fillText(text, x, y);
}

/** Maxima and minima, scaled so that the largest magnitude is 1. */
export function waveSides(bytes) {
  const peaks = numbers(bytes, Int8Array);
  const largest = peaks.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const scaled = Float32Array.from(peaks, (value) => value / largest);
  return [scaled.slice(0, peaks.length / 2), scaled.slice(peaks.length / 2)];
}

/** The context of a cleared canvas, scaled so that one unit is one CSS pixel. */
export function prepared(canvas, { width, height }) {
  const ratio = window.devicePixelRatio || 1;
  canvas.style.width = `${width}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}
