"""Attacks: functions that turn a recording into a spoof, (samples,) float32 at 16 kHz in and out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.signal import medfilt

from sslig.audio import trim
from sslig.frames import SAMPLE_RATE_HZ

HOP_SAMPLES = 128
FFT_SAMPLES = 512
LPC_ORDER = 18


def griffin_lim(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Mel spectrogram of 80 bands, its pseudo-inverse, and phases found in 16 fast rounds from random ones.

    References
    ----------
    Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32(2), 1984;
    Perraudin et al., "A fast Griffin-Lim algorithm", WASPAA 2013, for the momentum.
    """
    import librosa

    basis = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=1024, n_mels=80)  # (band, bin)
    mel = basis @ np.abs(librosa.stft(samples, n_fft=1024, hop_length=256))  # (band, frame)
    magnitude = np.maximum(np.linalg.pinv(basis) @ mel, 0.0)  # (bin, frame)
    seed = int(generator.integers(2**31))
    return librosa.griffinlim(magnitude, n_iter=16, hop_length=256, length=len(samples), random_state=seed)


def lpc_vocoder(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """All-pole filter of each frame, excited by pulses at the pitch where voiced and by noise elsewhere.

    References
    ----------
    Atal and Hanauer, "Speech analysis and synthesis by linear prediction of the speech wave", JASA 50(2B), 1971.
    """
    window = np.hanning(FFT_SAMPLES + 1)[:-1]
    predictor, gain = _linear_prediction(_frames(samples, FFT_SAMPLES) * window, LPC_ORDER)
    inverse_filter = np.concatenate([np.ones((len(predictor), 1)), -predictor], axis=1)  # (frame, order + 1)
    excitation = _frames(pulses_and_noise(samples, generator), FFT_SAMPLES) * window  # (frame, samples)
    # Twice the frame, so that the ringing of the filter does not wrap round.
    n_fft = 2 * FFT_SAMPLES
    spectrum = gain[:, None] * np.fft.rfft(excitation, n_fft) / np.fft.rfft(inverse_filter, n_fft)
    return _overlap_add(np.fft.irfft(spectrum), len(samples))


def channel_vocoder(
    samples: np.ndarray, generator: np.random.Generator, n_bands: int = 32, whispered: bool = False
) -> np.ndarray:
    """Band energies of the recording imposed on a sum of harmonics where voiced and on noise elsewhere.

    If `whispered`, they are imposed on noise everywhere.

    References
    ----------
    Dudley, "Remaking speech", JASA 11(2), 1939; here with the mel scale and a harmonic-plus-noise excitation. With
    noise alone: Shannon et al., "Speech recognition with primarily temporal cues", Science 270, 1995.
    """
    import librosa

    basis = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=FFT_SAMPLES, n_mels=n_bands, norm=None)  # (band, bin)
    stft = {"n_fft": FFT_SAMPLES, "hop_length": HOP_SAMPLES}
    source = generator.standard_normal(len(samples)) if whispered else harmonics_and_noise(samples, generator)
    excitation = librosa.stft(source.astype(np.float32), **stft)  # (bin, frame)
    wanted = basis @ np.abs(librosa.stft(samples, **stft)) ** 2  # (band, frame)
    present = basis @ np.abs(excitation) ** 2
    gain = np.sqrt(wanted / np.maximum(present, 1e-10))
    share = basis / np.maximum(basis.sum(axis=0), 1e-3)
    return librosa.istft((share.T @ gain) * excitation, hop_length=HOP_SAMPLES, length=len(samples))


def noise_vocoder(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Channel vocoder of 16 to 63 bands with noise alone (`channel_vocoder`): whispered speech."""
    return channel_vocoder(samples, generator, int(generator.integers(16, 64)), whispered=True)


def pitch_shift(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Phase vocoder and resampling: shift the pitch by 0.5 to 2 semitones up or down and keep the duration.

    References
    ----------
    Laroche and Dolson, "Improved phase vocoder time-scale modification of audio", IEEE TSAP 7(3), 1999.
    """
    import librosa

    steps = generator.choice([-1.0, 1.0]) * generator.uniform(0.5, 2.0)
    return librosa.effects.pitch_shift(samples, sr=SAMPLE_RATE_HZ, n_steps=steps, n_fft=1024)


def time_stretch(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Phase vocoder twice: 1.1 to 1.4 times slower or faster, then back to the first duration.

    References
    ----------
    Flanagan and Golden, "Phase vocoder", Bell System Technical Journal 45(9), 1966.
    """
    import librosa

    rate = generator.uniform(1.1, 1.4) ** generator.choice([-1.0, 1.0])
    changed = librosa.effects.time_stretch(samples, rate=rate, n_fft=1024)
    return librosa.effects.time_stretch(changed, rate=len(changed) / len(samples), n_fft=1024)


def neural_tts(samples: np.ndarray, generator: np.random.Generator, transcript: str) -> np.ndarray:
    """Neural text-to-speech of the English transcript in another voice, paced to last as long as the recording.

    Up to four syntheses adjust the speaking rate; an excess that remains is cut off.

    References
    ----------
    hibari-tts, a small model distilled from Kokoro-82M, itself in the architecture of Li et al., "StyleTTS 2",
    NeurIPS 2023.
    """
    import soxr

    voice, seed, pace = _voice(), int(generator.integers(2**31)), 1.0
    for _ in range(4):
        speech = trim(soxr.resample(voice(transcript, speed=pace, seed=seed), 24_000, SAMPLE_RATE_HZ))
        ratio = len(speech) / len(samples)
        if 0.97 < ratio < 1.03:
            break
        pace = float(np.clip(pace * ratio, 0.55, 1.8))
    return speech[: len(samples)]


@dataclass(frozen=True)
class Attack:
    """A way to make spoofs: `code` and `tag` stand in the protocol columns ``attack`` and ``attack_tag``.

    Tags are AC1 vocoder, AC2 phase vocoder, AC3 text-to-speech. `function` maps ``(samples, generator)`` or, where it
    `needs_transcript`, ``(samples, generator, transcript)`` to (samples,). It `keeps_time` where every moment of the
    recording stays where it was.
    """

    code: str
    tag: str
    description: str
    function: Callable[..., np.ndarray]
    needs_transcript: bool = False
    keeps_time: bool = True

    def __call__(self, samples: np.ndarray, generator: np.random.Generator, transcript: str | None) -> np.ndarray:
        """(samples,) float32 spoof, as long as `samples`; text-to-speech may be shorter."""
        from librosa.util import fix_length

        if self.needs_transcript:
            return self.function(samples, generator, transcript).astype(np.float32)
        return fix_length(self.function(samples, generator), size=len(samples)).astype(np.float32)


ATTACKS = {
    "griffin_lim": Attack("A01", "AC1", "mel spectrogram and Griffin-Lim phases", griffin_lim),
    "lpc_vocoder": Attack("A02", "AC1", "linear prediction, pulses and noise", lpc_vocoder),
    "pitch_shift": Attack("A03", "AC2", "phase vocoder, pitch moved", pitch_shift),
    "time_stretch": Attack(
        "A04", "AC2", "phase vocoder, duration changed and restored", time_stretch, keeps_time=False
    ),
    "channel_vocoder": Attack("A05", "AC1", "channel vocoder, harmonics and noise", channel_vocoder),
    "neural_tts": Attack("A06", "AC3", "neural text-to-speech", neural_tts, needs_transcript=True, keeps_time=False),
    "noise_vocoder": Attack("A07", "AC1", "channel vocoder, noise", noise_vocoder),
}
"""Every attack by name."""


def pitch_track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch in Hz and strength of voicing (0 to 1) of each frame, both (frame,), by normalised autocorrelation.

    References
    ----------
    Boersma, "Accurate short-term analysis of the fundamental frequency", IFA Proceedings 17, 1993.
    """
    size, shortest, longest = 640, SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 65
    window = np.hanning(size)
    frames = _frames(samples, size)
    correlation = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window)
    of_window = _autocorrelation(window[None])[0]
    power = correlation[:, :1]
    normal = (correlation / np.maximum(power, 1e-9))[:, shortest:longest] / (of_window / of_window[0])[shortest:longest]
    # Every multiple of the period correlates equally well; the octave cost prefers the shortest.
    peak = (normal - 0.06 * np.log2(np.arange(shortest, longest) / shortest)).argmax(axis=1)  # (frame,)
    height = np.take_along_axis(normal, peak[:, None], axis=1)[:, 0]
    loud = power[:, 0] > 1e-4 * np.percentile(power, 95)
    strength = np.clip((height - 0.3) / 0.4, 0.0, 1.0) * loud
    return medfilt(SAMPLE_RATE_HZ / (peak + shortest), 5), medfilt(strength, 5)


def pulses_and_noise(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) Excitation of unit power: one pulse per pitch period where voiced, white noise elsewhere."""
    pitch_hz, strength = _track_per_sample(samples)
    turns = np.floor(np.cumsum(pitch_hz) / SAMPLE_RATE_HZ)
    # Minus their mean, because the filters of speech would amplify an offset.
    pulses = (np.diff(turns, prepend=0.0) - pitch_hz / SAMPLE_RATE_HZ) * np.sqrt(SAMPLE_RATE_HZ / pitch_hz)
    return np.sqrt(strength) * pulses + np.sqrt(1 - strength) * generator.standard_normal(len(samples))


def harmonics_and_noise(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(samples,) Excitation of unit power: equal harmonics of random phase where voiced, white noise elsewhere."""
    pitch_hz, strength = _track_per_sample(samples)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    harmonics = np.zeros(len(samples))
    for number in range(1, int(7500 / pitch_hz.min()) + 1):
        below_7500 = number * pitch_hz < 7500
        offset = generator.uniform(0, 2 * np.pi)
        harmonics[below_7500] += np.cos(number * phase[below_7500] + offset)
    harmonics *= np.sqrt(2 * pitch_hz / 7500)
    return np.sqrt(strength) * harmonics + np.sqrt(1 - strength) * generator.standard_normal(len(samples))


@cache
def _voice():
    """The text-to-speech model, loaded once per process because loading takes longer than speaking."""
    from hibari import Hibari

    return Hibari(threads=1)


def _frames(samples: np.ndarray, size: int) -> np.ndarray:
    """(frame, size) Frames centred on every hop, starting with the first sample."""
    padded = np.pad(samples, (size // 2, size // 2 + HOP_SAMPLES))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::HOP_SAMPLES]


def _overlap_add(frames: np.ndarray, length: int) -> np.ndarray:
    """(length,) Inverse of `_frames` for frames shaped by a Hann window of `FFT_SAMPLES`."""
    total = np.zeros(HOP_SAMPLES * (len(frames) - 1) + frames.shape[1])
    for number, frame in enumerate(frames):
        total[number * HOP_SAMPLES : number * HOP_SAMPLES + len(frame)] += frame
    sum_of_windows = FFT_SAMPLES / (2 * HOP_SAMPLES)
    return total[FFT_SAMPLES // 2 : FFT_SAMPLES // 2 + length] / sum_of_windows


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    """(frame, lag) of (frame, samples)."""
    size = 2 * frames.shape[1]
    return np.fft.irfft(np.abs(np.fft.rfft(frames, size)) ** 2)[:, : frames.shape[1]]


def _linear_prediction(frames: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictor (frame, order) and gain of the residual per sample (frame,) of windowed (frame, samples)."""
    correlation = _autocorrelation(frames)[:, : order + 1]
    # White noise in the model keeps the equations of silent and of very tonal frames solvable.
    correlation[:, 0] = correlation[:, 0] * (1 + 1e-5) + 1e-9
    lags = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    predictor = np.linalg.solve(correlation[:, lags], correlation[:, 1:, None])[..., 0]
    residual = correlation[:, 0] - (predictor * correlation[:, 1:]).sum(axis=1)
    return predictor, np.sqrt(np.maximum(residual, 0.0) / (3 / 8 * frames.shape[1]))


def _track_per_sample(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(len(samples)) / HOP_SAMPLES
    return tuple(np.interp(at, np.arange(len(track)), track) for track in pitch_track(samples))
