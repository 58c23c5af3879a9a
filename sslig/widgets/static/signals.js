// Draws functions of time on a canvas: evidence, spectrogram, layers, labelled stretches.
//
// Every function takes (context, box, ..., look): box = {width, height, from_s, to_s} is the size of the canvas in CSS pixels
// and the part of the recording that it shows, in seconds; look = {dark, ink, paper, faint} are the colours of the page.

export const SPOOF = "#D55E00";
export const BONAFIDE = "#0072B2";
const EVIDENCE_ALPHA = 0.75;
const LABEL_FONT = "11px system-ui, sans-serif";

/** The numbers of a message: the kernel sends bytes as a DataView, an exported page holds them as {base64}. */
export function numbers(bytes, Kind = Uint8Array) {
  if (bytes === undefined || bytes === null) return new Kind(0);
  if (bytes.base64 !== undefined) {
    const text = atob(bytes.base64);
    const decoded = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) decoded[i] = text.charCodeAt(i);
    return new Kind(decoded.buffer);
  }
  // Copied, because the offset of a typed array must be a multiple of its item size.
  return new Kind(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** The first and last frame in a box; frame t covers [start_s + t hop_s, start_s + (t + 1) hop_s]. */
function framesIn(box, clock, count) {
  const first = Math.max(0, Math.floor((box.from_s - clock.start_s) / clock.hop_s));
  const last = Math.min(count, Math.ceil((box.to_s - clock.start_s) / clock.hop_s));
  return [first, last];
}

function xOf(box, time_s) {
  return ((time_s - box.from_s) / (box.to_s - box.from_s)) * box.width;
}

/** Evidence as steps from 0, spoof above and bona fide below, and its running median as a line, up to +-scale. */
export function drawEvidence(context, box, clock, frames, trend, scale, look, plain = false) {
  const middle = plain ? box.height - 1 : box.height / 2;
  const unit = (middle - 2) / (scale || 1);
  const [up, down] = plain ? [look.faint, look.faint] : [SPOOF, BONAFIDE];
  const [first, last] = framesIn(box, clock, frames.length);
  context.globalAlpha = look.dark ? 1 : EVIDENCE_ALPHA;
  for (let t = first; t < last; t++) {
    const x = xOf(box, clock.start_s + t * clock.hop_s);
    const width = xOf(box, clock.start_s + (t + 1) * clock.hop_s) - x;
    const height = frames[t] * unit;
    context.fillStyle = frames[t] > 0 ? up : down;
    context.fillRect(x, middle - Math.max(height, 0), width, Math.abs(height));
  }
  context.globalAlpha = 1;
  line(context, look.faint, 1, [[0, middle], [box.width, middle]]);
  if (!trend) return;
  const points = [];
  for (let t = Math.max(0, first - 1); t < Math.min(trend.length, last + 1); t++) {
    points.push([xOf(box, clock.start_s + (t + 0.5) * clock.hop_s), middle - trend[t] * unit]);
  }
  line(context, look.ink, 1.4, points);
}

function line(context, color, width, points) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

/** An image of (row, frame) values, one pixel each, row 0 at the bottom; colorOf(value) returns [red, green, blue]. */
export function picture(values, rows, columns, colorOf) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = 4 * ((rows - 1 - row) * columns + column);
      image.data.set(colorOf(values[row * columns + column]), at);
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Evidence over a picture: the stronger, the less of the picture shows. */
export function veil(values, rows, columns) {
  const canvas = picture(values, rows, columns, (value) => rgb(value > 0 ? SPOOF : BONAFIDE));
  const context = canvas.getContext("2d");
  const image = context.getImageData(0, 0, columns, rows);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const share = Math.abs(values[row * columns + column]) / largest;
      image.data[4 * ((rows - 1 - row) * columns + column) + 3] = Math.round(190 * Math.sqrt(share));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

export function drawPicture(context, box, clock, image) {
  const x = xOf(box, clock.start_s);
  const width = xOf(box, clock.start_s + image.width * clock.hop_s) - x;
  context.imageSmoothingEnabled = false;
  context.drawImage(image, x, 0, width, box.height);
}

function mixed(from, to, share) {
  return from.map((value, i) => value + share * (to[i] - value));
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** Loudness from 0 to 255 as ink on paper. */
export function loudnessColors(look) {
  const [paper, ink] = [rgb(look.paper), rgb(look.ink)];
  return (value) => mixed(paper, ink, value / 255);
}

/** Evidence from -scale to scale: blue over paper to vermillion. */
export function evidenceColors(scale, look) {
  const [paper, spoof, bonafide] = [rgb(look.paper), rgb(SPOOF), rgb(BONAFIDE)];
  return (value) => mixed(paper, value > 0 ? spoof : bonafide, Math.min(1, Math.abs(value) / (scale || 1)));
}

/** [start_s, end_s, label] as boxes; a label that does not fit is shortened or omitted. */
export function drawStretches(context, box, stretches, look) {
  context.font = LABEL_FONT;
  context.textBaseline = "middle";
  context.textAlign = "center";
  for (const [start_s, end_s, label] of stretches) {
    if (end_s < box.from_s || start_s > box.to_s) continue;
    const [left, right] = [Math.max(-2, xOf(box, start_s)), Math.min(box.width + 2, xOf(box, end_s))];
    context.fillStyle = look.tint;
    context.fillRect(left, 1, right - left, box.height - 2);
    line(context, look.faint, 1, [[left, 1], [left, box.height - 1]]);
    line(context, look.faint, 1, [[right, 1], [right, box.height - 1]]);
    context.fillStyle = look.ink;
    const shown = fitted(context, label, right - left - 4);
    if (shown) context.fillText(shown, (left + right) / 2, box.height / 2 + 0.5);
  }
}

/** Hatches what a detector does not read, from `read_s` to the end. */
export function drawUnread(context, box, read_s, look) {
  const from = Math.max(0, xOf(box, read_s));
  if (from >= box.width) return;
  context.save();
  context.beginPath();
  context.rect(from, 0, box.width - from, box.height);
  context.clip();
  context.globalAlpha = 0.5;
  for (let x = from - box.height; x < box.width; x += 8) line(context, look.faint, 1, [[x, box.height], [x + box.height, 0]]);
  context.globalAlpha = 1;
  context.font = LABEL_FONT;
  context.textAlign = "left";
  context.textBaseline = "top";
  context.fillStyle = look.ink;
  if (box.width - from > 50) context.fillText("not read", from + 6, 4);
  context.restore();
}

function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  for (let n = text.length - 1; n > 0; n--) {
    if (context.measureText(text.slice(0, n) + "…").width <= width) return text.slice(0, n) + "…";
  }
  return "";
}
