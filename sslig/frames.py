"""The clock of the project: conversions between samples, frames and seconds for audio, features, masks and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class FrameClock:
    """The frame grid of a stack of unpadded convolutions.

    Parameters
    ----------
    hop_samples
        Distance between the starts of neighbouring frames.
    receptive_field_samples
        Samples that one frame sees.
    """

    hop_samples: int
    receptive_field_samples: int

    @classmethod
    def from_convolutions(cls, kernels: Sequence[int], strides: Sequence[int]) -> "FrameClock":
        """Compute the grid of convolutions with these kernels and strides, first layer first.

        The hop is the product of the strides. Each layer widens the receptive field by its kernel less one, counted
        in the hop of the layers below it.
        """
        if len(kernels) != len(strides) or not kernels:
            raise ValueError(f"{len(kernels)} kernels and {len(strides)} strides: one of each per layer is needed")
        hops = [prod(strides[:layer]) for layer in range(len(strides))]
        field = 1 + sum((kernel - 1) * hop for kernel, hop in zip(kernels, hops, strict=True))
        return cls(hop_samples=prod(strides), receptive_field_samples=field)

    def n_frames(self, n_samples: int) -> int:
        """Frames in `n_samples` samples; 0 where they fill no frame."""
        return max(0, (n_samples - self.receptive_field_samples) // self.hop_samples + 1)

    def n_samples(self, n_frames: int) -> int:
        """Samples that `n_frames` frames cover exactly."""
        return 0 if n_frames < 1 else (n_frames - 1) * self.hop_samples + self.receptive_field_samples

    def centre_s(self, n_frames: int) -> np.ndarray:
        """(frame,) Centre of each frame in seconds: (hop * t + receptive field / 2) / sampling rate."""
        return (np.arange(n_frames) * self.hop_samples + self.receptive_field_samples / 2) / SAMPLE_RATE_HZ

    def nearest_frames(self, duration_ms: float) -> int:
        """The number of hops that comes nearest to `duration_ms`, at least one."""
        return max(1, round(duration_ms / 1000 / self.hop_s))

    @property
    def hop_s(self) -> float:
        """Distance between frames in seconds."""
        return self.hop_samples / SAMPLE_RATE_HZ


SSL_CLOCK = FrameClock.from_convolutions(kernels=(10, 3, 3, 3, 3, 2, 2), strides=(5, 2, 2, 2, 2, 2, 2))
"""The grid of WavLM, wav2vec 2.0 and HuBERT: hop 320 samples (20 ms), receptive field 400 samples (25 ms)."""


def energy(samples: np.ndarray, hop_samples: int, window_samples: int) -> np.ndarray:
    """(..., frame) Mean square of (..., samples) in windows of `window_samples`, each `hop_samples` after the last."""
    if np.shape(samples)[-1] < window_samples:
        return np.empty((*np.shape(samples)[:-1], 0))
    squares = np.square(samples, dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(squares, window_samples, axis=-1)
    return windows[..., ::hop_samples, :].mean(axis=-1)
