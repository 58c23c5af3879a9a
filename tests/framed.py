"""Signals, masks and features of one second, for tests of what is done to frames."""

import torch

from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK

N_FRAMES = 49
N_SAMPLES = SSL_CLOCK.n_samples(N_FRAMES) + 200


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(seed=9):
    """(2, samples) Noise of standard deviation 0.1."""
    return 0.1 * torch.randn(2, N_SAMPLES, generator=generator(seed))


def tone(hz, level=0.5, n_samples=N_SAMPLES):
    return level * torch.sin(2 * torch.pi * hz * torch.arange(n_samples) / SAMPLE_RATE_HZ)[None]


def frames(*masked, batch=1):
    mask = torch.zeros(batch, N_FRAMES, dtype=torch.bool)
    mask[:, list(masked)] = True
    return mask


def marked(text):
    """(1, frame) True where the text has an x."""
    return torch.tensor([[letter == "x" for letter in text]])


def rms(samples):
    return samples.double().square().mean().sqrt().item()
