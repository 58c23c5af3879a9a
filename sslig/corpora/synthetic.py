"""The source "synthetic": speech-like signals made with numpy, for tests and for machines without network.

Each signal is a sequence of syllables: a noise burst, then harmonics of a falling pitch shaped by three formants, with
pauses between phrases and a noise floor below everything. It contains no words.
"""

from dataclasses import dataclass

import numpy as np

from sslig.corpora.recordings import Recording
from sslig.frames import SAMPLE_RATE_HZ

VOWELS_HZ = np.array([[700, 1200, 2600], [300, 2300, 3000], [320, 800, 2300], [530, 1850, 2500], [560, 850, 2400]])
"""(vowel, formant) Formants of five vowels of an average adult."""
BANDWIDTHS_HZ = np.array([80.0, 110.0, 160.0])


@dataclass(frozen=True)
class Voice:
    """The voice of one speaker: mean pitch, and a factor on all formants."""

    pitch_hz: float
    formant_factor: float


@dataclass(frozen=True)
class Sentence:
    """One utterance of a `Voice`, made when called; `seed` determines every sample."""

    voice: Voice
    seed: tuple[int, ...]
    duration_s: float

    def __call__(self) -> np.ndarray:
        """(samples,) float32 at 16 kHz, with a random silence before and after."""
        generator = np.random.default_rng(self.seed)
        parts = [np.zeros(_n(generator.uniform(0.1, 0.3)))]
        while sum(map(len, parts)) < _n(self.duration_s):
            parts += [_burst(generator), _vowel(self.voice, generator)]
            if generator.random() < 0.15:
                parts.append(np.zeros(_n(generator.uniform(0.1, 0.3))))
        speech = np.concatenate([*parts, np.zeros(_n(generator.uniform(0.1, 0.3)))])
        noise = 1e-3 * generator.standard_normal(len(speech))
        return (0.5 * speech / np.abs(speech).max() + noise).astype(np.float32)


def recordings(n_speakers: int = 6, per_speaker: int = 24, seed: int = 0) -> list[Recording]:
    """`per_speaker` recordings of 1.5 to 4 s of each of `n_speakers`, men and women in turn."""
    utterances = []
    for speaker in range(n_speakers):
        generator = np.random.default_rng((seed, speaker))
        woman = speaker % 2 == 1
        pitch_hz = generator.uniform(170, 240) if woman else generator.uniform(90, 140)
        voice = Voice(pitch_hz, generator.uniform(1.05, 1.2) if woman else generator.uniform(0.9, 1.05))
        for number in range(per_speaker):
            sentence = Sentence(voice, (seed, speaker, number), generator.uniform(1.5, 4.0))
            name = f"voice{speaker + 1}"
            gender = "F" if woman else "M"
            utterances.append(Recording(f"{name}/{number + 1}", name, gender, "-", sentence, "CC0", "synthetic"))
    return utterances


def _n(duration_s: float) -> int:
    return round(duration_s * SAMPLE_RATE_HZ)


def _vowel(voice: Voice, generator: np.random.Generator) -> np.ndarray:
    """(samples,) Harmonics of a falling, trembling pitch; their levels follow formants that glide between vowels."""
    length = _n(generator.uniform(0.09, 0.24))
    time = np.linspace(0.0, 1.0, length)
    tremble = np.cumsum(generator.standard_normal(length)) * 2e-4
    pitch_hz = voice.pitch_hz * generator.uniform(0.85, 1.2) * (1 - 0.12 * time + tremble)
    turn = np.exp(2j * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ)
    start, stop = VOWELS_HZ[generator.integers(len(VOWELS_HZ), size=2)] * voice.formant_factor  # (formant,)
    points = np.linspace(0.0, 1.0, 9)
    formants_hz = start + (stop - start) * points[:, None]  # (point, formant)
    signal, harmonic = np.zeros(length), np.ones(length)
    for number in range(1, int(7000 / pitch_hz.max())):
        # Multiplying by a rotation gives the next harmonic ten times faster than a call of sine.
        harmonic = harmonic * turn
        distance = (number * np.interp(points, time, pitch_hz)[:, None] - formants_hz) / BANDWIDTHS_HZ
        level = (np.array([1.0, 0.5, 0.25]) / (1 + distance**2)).sum(axis=1) + 0.003  # (point,)
        signal += np.interp(time, points, level) * harmonic.imag
    return signal * np.sin(np.pi * time) ** 0.5 * generator.uniform(0.5, 1.0)


def _burst(generator: np.random.Generator) -> np.ndarray:
    """(samples,) Noise in a frequency band of consonants, fading in and out."""
    length = _n(generator.uniform(0.03, 0.1))
    frequency_hz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    centre_hz = generator.uniform(2500, 6000)
    shape = np.exp(-(((frequency_hz - centre_hz) / 1200) ** 2))
    noise = np.fft.irfft(np.fft.rfft(generator.standard_normal(length)) * shape, length)
    return 0.6 * noise * np.hanning(length)
