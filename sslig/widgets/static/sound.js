// Samples of a recording in the browser, to play it with parts muted.

const RATE_HZ = 16000;
const RAMP_S = 0.005; // a hard cut would add a click to the part that is heard

/** (samples,) The decoded recording at 16 kHz. */
export async function decodedSamples(bytes) {
  const context = new OfflineAudioContext(1, 1, RATE_HZ);
  const buffer = await context.decodeAudioData(bytes.slice().buffer);
  return buffer.getChannelData(0);
}

/** The samples with everything muted outside [start_s, end_s], or with `inside` that part muted. */
export function mutedSamples(samples, start_s, end_s, inside = false) {
  return samples.map((sample, i) => {
    const time_s = i / RATE_HZ;
    const distance_s = Math.min(time_s - start_s, end_s - time_s); // above 0 inside
    const share = Math.max(0, Math.min(1, distance_s / RAMP_S));
    return sample * (inside ? 1 - share : share);
  });
}

/** The samples as a WAV file of 16 bits. */
export function wavBlob(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const write = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  write(8, "WAVEfmt ");
  [[16, 16], [24, RATE_HZ], [28, 2 * RATE_HZ], [40, 2 * samples.length]].forEach(([at, n]) => view.setUint32(at, n, true));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, n]) => view.setUint16(at, n, true));
  write(36, "data");
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true));
  return new Blob([view], { type: "audio/wav" });
}
