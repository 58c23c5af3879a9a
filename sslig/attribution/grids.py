"""Evidence in time and frequency: how far the logit falls without a band of a moment, and what is heard of it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslig.attribution.explanation import Explanation
from sslig.attribution.paths import integrate
from sslig.attribution.target import Heard, Target, check_waveform, of_head, same_rows, selected, without_gradients
from sslig.data import fills
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.study import Attribution as Options

WINDOW_SAMPLES, HOP_SAMPLES = 512, 128
"""The STFT that masks act on: 32 ms every 8 ms, Hann, which is resynthesised exactly."""

STFT_CLOCK = FrameClock(HOP_SAMPLES, 2 * HOP_SAMPLES)

FADE_MEL, FADE_S = 30.0, 0.016
"""Widths of the edges of a cell: about a bin of the STFT at the low end, and half its window."""

COARSE_BANDS, COARSE_S = 4, 0.4
"""Cells that the search begins with, split into four wherever they matter."""

Progress = Callable[[float], None]
"""Takes the share of the budget that is used."""


def mel(hz: np.ndarray | float) -> np.ndarray:
    """Frequencies on the mel scale of O'Shaughnessy: 2595 log10(1 + hz / 700)."""
    return 2595 * np.log10(1 + np.asarray(hz, dtype=np.float64) / 700)


def hertz(mels: np.ndarray | float) -> np.ndarray:
    """The inverse of `mel`."""
    return 700 * (10 ** (np.asarray(mels, dtype=np.float64) / 2595) - 1)


NYQUIST_MEL = float(mel(SAMPLE_RATE_HZ / 2))


class FilterBank:
    """Cells of a recording in time and frequency, which add up to it exactly.

    A cell is a row ``lo_mel, hi_mel, start_s, end_s``. Its mask is 1 inside and fades out over its edges; the masks of
    cells that share an edge add up to that of their union, and the mask of everything is 1. Cells split without a rest,
    and a waveform without any is the waveform, bit by bit.

    Parameters
    ----------
    waveform
        (1, samples) at 16 kHz.
    """

    def __init__(self, waveform: Tensor) -> None:
        self.waveform, self.n_samples = waveform, waveform.shape[1]
        self.window = torch.hann_window(WINDOW_SAMPLES, dtype=waveform.dtype, device=waveform.device)
        self.spectrum = self._spectrum(waveform)  # (1, bin, frame)
        bins, frames = self.spectrum.shape[1:]
        self.bin_mel = torch.as_tensor(mel(np.linspace(0, SAMPLE_RATE_HZ / 2, bins))).to(waveform)
        self.frame_s = torch.arange(frames).to(waveform) * HOP_SAMPLES / SAMPLE_RATE_HZ

    @property
    def duration_s(self) -> float:
        """The length of the recording."""
        return self.n_samples / SAMPLE_RATE_HZ

    def _spectrum(self, waveforms: Tensor) -> Tensor:
        shape = {"n_fft": WINDOW_SAMPLES, "hop_length": HOP_SAMPLES, "window": self.window}
        return torch.stft(waveforms, **shape, pad_mode="constant", return_complex=True)

    def synthesised(self, spectra: Tensor) -> Tensor:
        """(batch, samples) The waveforms of (batch, bin, frame) spectra."""
        shape = {"n_fft": WINDOW_SAMPLES, "hop_length": HOP_SAMPLES, "window": self.window}
        return torch.istft(spectra, **shape, length=self.n_samples)

    def masks(self, cells: np.ndarray) -> Tensor:
        """(cell, bin, frame) Masks of (cell, 4) cells."""
        lo, hi, start, end = (torch.as_tensor(column).to(self.waveform)[:, None] for column in np.asarray(cells).T)
        band = _step(self.bin_mel, lo, FADE_MEL, 0, NYQUIST_MEL) - _step(self.bin_mel, hi, FADE_MEL, 0, NYQUIST_MEL)
        time = _step(self.frame_s, start, FADE_S, 0, self.duration_s) - _step(
            self.frame_s, end, FADE_S, 0, self.duration_s
        )
        return band[:, :, None] * time[:, None, :]

    def only(self, mask: Tensor) -> Tensor:
        """(1, samples) What a (bin, frame) mask holds; with `without` it adds up to the recording."""
        return self.synthesised(self.spectrum * mask)

    def without(self, mask: Tensor) -> Tensor:
        """(1, samples) The recording without what a (bin, frame) mask holds."""
        return self.waveform - self.only(mask)

    def filled(self, masks: Tensor, filling: Tensor) -> Tensor:
        """(batch, samples) The recording with what (batch, bin, frame) masks hold replaced by that of a filling."""
        change = self._spectrum(filling - self.waveform)
        return self.waveform + self.synthesised(change * masks)


def _step(values: Tensor, edge: Tensor, width: float, lowest: float, highest: float) -> Tensor:
    """(cell, value) 0 below an edge and 1 above it, in half a cosine; an edge at an end lies beyond all values."""
    through = ((values - edge) / width + 0.5).clamp(0, 1)
    step = 0.5 - 0.5 * torch.cos(torch.pi * through)
    step = torch.where(edge <= lowest, torch.ones_like(step), step)
    return torch.where(edge >= highest, torch.zeros_like(step), step)


@dataclass(frozen=True)
class Grid:
    """What each cell of a recording adds to its logit.

    Attributes
    ----------
    cells
        (cell, 4) ``lo_mel, hi_mel, start_s, end_s``; together they are the recording.
    values, errors
        (cell,) Evidence in logits, positive for spoof, and its standard error, NaN where it is not sampled.
    spoof_score, filled_score
        F(x), and F where every cell is filled. Shapley values add up to their difference.
    passes, permutations
        Forward passes used; sampled orders of the cells, 0 where `values` are falls of single cells.
    """

    cells: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    spoof_score: float
    filled_score: float
    passes: int
    permutations: int

    @property
    def residual(self) -> float:
        """The sum of the values less F(x) - F(filled)."""
        return float(self.values.sum() - (self.spoof_score - self.filled_score))

    @property
    def convergence(self) -> float:
        """The largest standard error relative to the largest value; NaN where nothing is sampled."""
        peak = np.abs(self.values).max()
        return float(self.errors.max() / peak) if peak > 0 else 0.0

    def at(self, hz: np.ndarray, time_s: np.ndarray) -> np.ndarray:
        """(hz, time) Density of the evidence, logits per mel and second, at frequencies and times."""
        lo, hi, start, end = self.cells.T[..., None]
        in_band = (lo <= mel(hz)) & ((mel(hz) < hi) | (hi >= NYQUIST_MEL))  # (cell, hz)
        in_time = (start <= time_s) & ((time_s < end) | (end >= self.cells[:, 3].max()))  # (cell, time)
        density = self.values / ((hi - lo) * (end - start))[:, 0]
        return np.einsum("c,ch,ct->ht", density, in_band.astype(float), in_time.astype(float))

    def strongest(self, share: float, sign: int = 1) -> np.ndarray:
        """(cell,) bool: the fewest cells with evidence of one sign that hold `share` of it."""
        evidence = np.maximum(sign * self.values, 0.0)
        order = np.argsort(-evidence, kind="stable")
        held_before = np.cumsum(evidence[order]) - evidence[order]
        chosen = np.zeros(len(evidence), dtype=bool)
        chosen[order[held_before < share * evidence.sum() * (1 - 1e-9)]] = True
        return chosen & (evidence > 0)

    def mask(self, bank: FilterBank, chosen: np.ndarray) -> Tensor:
        """(bin, frame) The mask of the chosen cells: what `FilterBank.only` plays, and `FilterBank.without` leaves."""
        if not chosen.any():
            return torch.zeros(bank.spectrum.shape[1:]).to(bank.waveform)
        return bank.masks(self.cells[chosen]).sum(dim=0)


class Game:
    """Scores of a recording with some of its cells filled, counted."""

    def __init__(self, detector: Any, bank: FilterBank, filling: Tensor, budget: int, progress: Progress) -> None:
        self.bank, self.filling, self.budget, self.progress = bank, filling, budget, progress
        self.logit, self.passes = same_rows(detector), 0
        heard = Heard(detector, bank.n_samples)
        self.target = Target(self.logit, heard.cells(bank.waveform), None, 0, clock=detector.clock, deep=True)

    @property
    def left(self) -> int:
        """Forward passes that are left."""
        return self.budget - self.passes

    def scores(self, masks: Tensor) -> np.ndarray:
        """(mask,) F without what (mask, bin, frame) masks hold."""
        parts = []
        with torch.no_grad():
            for part in masks.split(self.target.rows_at_once):
                parts.append(self.logit(self.bank.filled(part, self.filling)).double().cpu().numpy())
                self.passes += len(part)
                self.progress(min(1.0, self.passes / self.budget))
        return np.concatenate(parts)


def grid(
    detector: Any,
    waveform: Tensor,
    *,
    budget: int = 512,
    bands: int = 16,
    cell_s: float = 0.1,
    fill: str = fills.NOISE,
    seed: int = 0,
    progress: Progress = lambda share: None,
) -> Grid:
    """The evidence of one utterance by cells of time and frequency, within a budget of forward passes.

    The search begins with `COARSE_BANDS` mel bands by `COARSE_S`. While half of the budget lasts, the quarter of the
    cells whose filling changes the logit most is split into four, down to `bands` and `cell_s`. The other half of the
    budget goes to orders of all cells, drawn at random and each also taken backwards: filling them one after the other
    gives each cell its share of F(x) - F(filled), on average its Shapley value. Where the budget is too small for two
    orders, the values are the falls of single cells, which do not add up.

    Parameters
    ----------
    detector
        Any module from (batch, samples) to (batch,) spoof logits with a ``clock``, in evaluation mode.
    waveform
        (1, samples) at 16 kHz.
    fill
        What takes the place of a cell (`sslig.data.fills`): ``noise`` at the floor of the recording, or ``silence``.

    References
    ----------
    Štrumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions",
    Knowledge and Information Systems 41, 2014 (sampled orders). Mitchell et al., "Sampling Permutations for Shapley
    Value Estimation", JMLR 23, 2022 (orders and their reverses).

    Raises
    ------
    InputError
        The budget does not last for the first cells, or the fill needs what lies around a cell.
    """
    check_waveform(waveform)
    if fill not in (fills.NOISE, fills.SILENCE):
        raise InputError(f"fill {fill!r}; accepted for cells: {fills.NOISE}, {fills.SILENCE}")
    with without_gradients(detector):
        bank, generator = FilterBank(waveform), np.random.default_rng(seed)
        game = Game(detector, bank, _filling(waveform, detector.clock, fill, seed), budget, progress)
        cells = _coarse(bank.duration_s)
        if budget < 2 + len(cells):
            raise InputError(f"a budget of {budget} forward passes; {2 + len(cells)} are needed for the first cells")
        whole, filled = game.scores(torch.stack([torch.zeros_like(bank.spectrum[0].real), bank.masks(cells).sum(0)]))
        cells, falls = _refined(game, cells, whole, NYQUIST_MEL / bands, cell_s)
        values, errors, n = _shapley(game, cells, whole, filled, generator)
    if n == 0:
        values, errors = falls, np.full(len(cells), np.nan)
    return Grid(cells, values, errors, float(whole), float(filled), game.passes, n)


def _filling(waveform: Tensor, clock: FrameClock, fill: str, seed: int) -> Tensor:
    everything = torch.ones(1, clock.n_frames(waveform.shape[1]), dtype=torch.bool, device=waveform.device)
    return fills.replaced(waveform, everything, clock, fill, torch.Generator().manual_seed(seed))


def _coarse(duration_s: float) -> np.ndarray:
    """(cell, 4) Equal bands on the mel scale by equal stretches of about `COARSE_S`."""
    mels = np.linspace(0, NYQUIST_MEL, COARSE_BANDS + 1)
    times = np.linspace(0, duration_s, max(1, round(duration_s / COARSE_S)) + 1)
    return np.array([[*band, *span] for span in pairwise(times) for band in pairwise(mels)])


def _refined(
    game: Game, cells: np.ndarray, whole: float, least_mel: float, least_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """The cells after splitting those that matter, and how far the logit falls without each."""
    falls = whole - game.scores(game.bank.masks(cells))
    while True:
        lo, hi, start, end = cells.T
        by_band, by_time = (hi - lo) > 1.5 * least_mel, (end - start) > 1.5 * least_s
        matters = np.argsort(-np.abs(falls), kind="stable")[: max(1, len(cells) // 4)]
        matters = [index for index in matters if by_band[index] or by_time[index]]
        matters = matters[: max(0, (game.budget // 2 - game.passes) // 4)]
        if not matters:
            return cells, falls
        parts = np.concatenate([_split(cells[index], by_band[index], by_time[index]) for index in matters])
        kept = np.setdiff1d(np.arange(len(cells)), matters)
        falls = np.concatenate([falls[kept], whole - game.scores(game.bank.masks(parts))])
        cells = np.concatenate([cells[kept], parts])


def _split(cell: np.ndarray, by_band: bool, by_time: bool) -> np.ndarray:
    """(part, 4) The halves or quarters of a cell."""
    lo, hi, start, end = cell
    bands = [(lo, (lo + hi) / 2), ((lo + hi) / 2, hi)] if by_band else [(lo, hi)]
    spans = [(start, (start + end) / 2), ((start + end) / 2, end)] if by_time else [(start, end)]
    return np.array([[*band, *span] for span in spans for band in bands])


def _shapley(
    game: Game, cells: np.ndarray, whole: float, filled: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Means of the cells' shares over random orders and their reverses, standard errors over pairs, and the orders."""
    pairs, cost = [], 2 * max(1, len(cells) - 1)
    while game.left >= cost:
        order = generator.permutation(len(cells))
        pairs.append(np.mean([_shares(game, cells, each, whole, filled) for each in (order, order[::-1])], axis=0))
    if not pairs:
        return np.zeros(len(cells)), np.zeros(len(cells)), 0
    errors = np.std(pairs, axis=0, ddof=1) / np.sqrt(len(pairs)) if len(pairs) > 1 else np.full(len(cells), np.nan)
    return np.mean(pairs, axis=0), errors, 2 * len(pairs)


def _shares(game: Game, cells: np.ndarray, order: np.ndarray, whole: float, filled: float) -> np.ndarray:
    """(cell,) How far the logit falls when each cell is filled after those before it in an order."""
    between, mask = [whole], torch.zeros_like(game.bank.spectrum[0].real)
    for part in np.array_split(order[:-1], -(-len(order) // game.target.rows_at_once)):
        if len(part):
            masks = mask + game.bank.masks(cells[part]).cumsum(dim=0)
            between += game.scores(masks).tolist()
            mask = masks[-1]
    shares = np.empty(len(cells))
    shares[order] = -np.diff([*between, filled])
    return shares


def spectrogram_gradients(detector: Any, waveform: Tensor, options: Options) -> Explanation:
    """Integrated Gradients of the magnitudes of the STFT, from 0 to what they are, with their phases held.

    In the `Explanation`, a layer is a bin of the STFT and a frame is one of `STFT_CLOCK`. A head that selects nodes
    keeps those of the recording.
    """
    check_waveform(waveform)
    with without_gradients(detector):
        bank = FilterBank(waveform)
        phase, logit = torch.polar(torch.ones_like(bank.spectrum.abs()), bank.spectrum.angle()), _frozen(detector, bank)

        def of_magnitudes(x: Tensor) -> Tensor:
            return logit(bank.synthesised(x[..., 0] * phase))

        x = bank.spectrum.abs()[..., None]  # (1, bin, frame, 1)
        target = of_head(of_magnitudes, x, torch.zeros_like(x), freeze=False, clock=STFT_CLOCK)
        return integrate(target, options)


def _frozen(detector: Any, bank: FilterBank) -> Callable[[Tensor], Tensor]:
    heard = Heard(detector, bank.n_samples)
    if not hasattr(heard, "select"):
        return detector
    nodes = selected(heard, heard.cells(bank.waveform))
    return lambda waveforms: detector.head(detector.features(waveforms), nodes)
