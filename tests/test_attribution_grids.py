"""Cells that add up to the recording, and a game whose winner is known."""

import numpy as np
import pytest
import torch
from torch import nn

from sslig.attribution.grids import (
    NYQUIST_MEL,
    FilterBank,
    Grid,
    grid,
    hertz,
    mel,
    spectrogram_gradients,
)
from sslig.errors import DetectorError, InputError
from sslig.frames import SSL_CLOCK
from sslig.study import Attribution as Options

N_SAMPLES = SSL_CLOCK.n_samples(50)


@pytest.fixture
def waveform():
    """(1, samples) One second of noise, and a tone of 3 kHz from 0.4 to 0.6 s."""
    time_s = torch.arange(N_SAMPLES) / 16_000
    tone = torch.sin(2 * torch.pi * 3000 * time_s) * ((time_s > 0.4) & (time_s < 0.6))
    return 0.01 * torch.randn(1, N_SAMPLES, generator=torch.Generator().manual_seed(0)) + 0.5 * tone


class Band(nn.Module):
    """A black box: the energy between 2.5 and 3.5 kHz."""

    clock = SSL_CLOCK

    def forward(self, waveforms):
        hz = torch.fft.rfftfreq(waveforms.shape[1], 1 / 16_000)
        return torch.fft.rfft(waveforms).abs()[:, (hz > 2500) & (hz < 3500)].square().sum(dim=1) / 1e5


def quarters(duration_s):
    """Two bands by two halves."""
    bands, halves = (0, 1000, NYQUIST_MEL), (0, duration_s / 3, duration_s)
    return np.array([[*bands[b : b + 2], *halves[h : h + 2]] for b in (0, 1) for h in (0, 1)])


def test_mel_and_hertz_are_inverse():
    np.testing.assert_allclose(hertz(mel(np.array([0.0, 1000, 8000]))), [0, 1000, 8000], atol=1e-9)
    assert mel(1000) == pytest.approx(1000, abs=0.1)


def test_cells_add_up_to_the_recording(waveform):
    bank = FilterBank(waveform)
    masks = bank.masks(quarters(bank.duration_s))
    torch.testing.assert_close(masks.sum(dim=0), torch.ones_like(masks[0]))
    parts = torch.cat([bank.only(mask) for mask in masks])
    torch.testing.assert_close(parts.sum(dim=0, keepdim=True), waveform, atol=1e-5, rtol=0)
    torch.testing.assert_close(bank.only(masks[1]) + bank.without(masks[1]), waveform)


def test_nothing_taken_away_is_the_recording_bit_by_bit(waveform):
    bank = FilterBank(waveform)
    none = torch.zeros_like(bank.spectrum[0].real)
    assert torch.equal(bank.without(none), waveform)
    assert torch.equal(bank.filled(none[None], torch.zeros_like(waveform)), waveform)
    filled = bank.filled(torch.ones_like(none)[None], 2 * waveform)
    torch.testing.assert_close(filled, 2 * waveform, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fill", ["noise", "silence"])
def test_the_cells_of_the_tone_carry_the_evidence(waveform, fill):
    used = []
    result = grid(Band(), waveform, budget=400, fill=fill, progress=used.append)
    assert result.permutations >= 2
    assert result.passes <= 400
    assert used[-1] == pytest.approx(result.passes / 400)
    assert result.residual == pytest.approx(0, abs=1e-4)
    lo, hi, start, end = result.cells[result.values.argmax()]
    assert lo < mel(3000) < hi
    assert start < 0.6
    assert end > 0.4
    hz, time_s = np.array([1000, 3000, 5000]), np.array([0.1, 0.5, 0.9])
    density = result.at(hz, time_s)
    assert density.argmax() == 4  # 3 kHz at 0.5 s
    assert np.abs(np.delete(density.ravel(), 4)).max() < 0.1 * density[1, 1]


def test_what_the_evidence_sounds_like(waveform):
    result, bank = grid(Band(), waveform, budget=200), FilterBank(waveform)
    mask = result.mask(bank, result.strongest(0.9))
    evidence, rest = bank.only(mask), bank.without(mask)
    torch.testing.assert_close(evidence + rest, waveform)
    whole = Band()(waveform).item()
    assert Band()(evidence).item() > 0.8 * whole
    assert Band()(rest).item() < 0.2 * whole
    assert not result.mask(bank, np.zeros(len(result.cells), dtype=bool)).any()


def test_a_small_budget_gives_falls_of_single_cells(waveform):
    result = grid(Band(), waveform, budget=14)
    assert result.permutations == 0
    assert np.isnan(result.errors).all()
    assert result.passes <= 14
    with pytest.raises(InputError, match="a budget of 5 forward passes; 14 are needed"):
        grid(Band(), waveform, budget=5)
    with pytest.raises(InputError, match="fill 'interpolation'; accepted for cells: noise, silence"):
        grid(Band(), waveform, fill="interpolation")


def test_the_strongest_cells_are_the_fewest():
    cells = np.zeros((4, 4))
    made = Grid(cells, np.array([5.0, -9, 3, 2]), np.zeros(4), 0.0, 0.0, 0, 2)
    assert made.strongest(0.5).tolist() == [True, False, False, False]
    assert made.strongest(0.8).tolist() == [True, False, True, False]
    assert made.strongest(1.0, sign=-1).tolist() == [False, True, False, False]


def test_gradients_of_magnitudes_add_up_and_find_the_tone(waveform):
    """F is quadratic in the magnitudes: the attribution is complete with few points."""
    result = spectrogram_gradients(Band(), waveform, Options())
    assert result.status == "complete"
    assert result.by_frame.sum() == pytest.approx(Band()(waveform).item(), rel=0.01)
    bin_, frame = np.unravel_index(result.by_layer.argmax(), result.by_layer.shape)
    assert bin_ * 16_000 / 512 == pytest.approx(3000, abs=32)
    assert 0.4 < frame * 128 / 16_000 < 0.6


def test_a_detector_that_mixes_rows_is_refused(waveform):
    class Mixed(Band):
        def forward(self, waveforms):
            return super().forward(waveforms).sum()

    with pytest.raises(DetectorError, match="one logit a row"):
        grid(Mixed(), waveform)
