"""A spoof whose place is known, in front of a detector: how well maps find the place, and what it carries."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from sslig import scoring
from sslig.attribution import grids
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import BONAFIDE_MEAN
from sslig.attribution.explanation import AGGREGATIONS, NO_RECORD, SIGNED, measured, smoothed
from sslig.attribution.methods import Method, explain, explain_head
from sslig.attribution.target import RECORDING, SPACES, view
from sslig.corpora.planted import WHOLE_HZ, truth_cells
from sslig.frames import SAMPLE_RATE_HZ
from sslig.models.detector import Detector
from sslig.study import Study
from sslig.validation import localisation, transplants
from sslig.validation.faithfulness import WAVEFORM
from sslig.validation.presented import Presented
from sslig.validation.statistics import Rows

SMOOTHINGS_MS = (20.0, 60.0, 100.0, 180.0, 260.0)
"""Widths of the moving average of maps over time; the first is one frame of SSL encoders, which changes nothing."""

BANDS, CELL_S = 16, 0.1
"""Mel bands and length of the cells in which maps of time and frequency are compared with a place."""

CELLS, BAND = "cells", "band"
"""Aggregation of maps in time and frequency; and the space of transplants of a whole band."""


def localisation_rows(
    presented: Presented, methods: Sequence[Method], truth: np.ndarray, within: slice, twin: Tensor | None = None
) -> Rows:
    """How well each map of a spoof finds its place (`sslig.validation.localisation`), at each width of smoothing.

    Parameters
    ----------
    truth
        (frame,) bool, True in the place.
    within
        The frames that are compared: those that the head reads and whose truth is known.
    twin
        (1, samples) of the same recording without the cue; without it there are no limits.
    """
    detector, waveform, clock = presented.detector, presented.waveform, presented.detector.clock
    maps = []
    for method in methods:
        each = explain(method, detector, waveform, presented.context)
        about = {"method": each.method} | each.record()
        maps += [(about | {"aggregation": name}, each.frames(name)) for name in AGGREGATIONS]
    ask_no_detector = localisation.plain_maps(detector.head, presented.features, waveform, clock)
    plain = [(name, RECORDING, frames) for name, frames in ask_no_detector.items()]
    plain += limits(presented, twin) if twin is not None else []
    about = NO_RECORD | {"aggregation": localisation.PLAIN}
    maps += [(about | {"method": name, "space": space}, frames) for name, space, frames in plain]
    rows = []
    for about, frames in maps:
        smoothings_ms = SMOOTHINGS_MS if about["aggregation"] in (SIGNED, localisation.PLAIN) else SMOOTHINGS_MS[:1]
        for smoothing_ms in smoothings_ms:
            values = smoothed(frames[within], clock.nearest_frames(smoothing_ms))
            measures = localisation.rows(values, truth[within], clock.hop_s)
            rows += [{"smoothing_ms": smoothing_ms} | row | about for row in measures]
    return rows


def limits(presented: Presented, twin: Tensor) -> list[tuple[str, str, np.ndarray]]:
    """Name, space and (frame,) of the maps that know the (1, samples) twin, which no other map can do much better
    than."""
    maps = []
    for space in SPACES:
        logit, x = view(presented.detector, presented.waveform, space)
        start = view(presented.detector, twin, space)[1]
        baseline = Baseline("twin", start[0], {}, start[0])
        context = dataclasses.replace(presented.context, baselines={BONAFIDE_MEAN: baseline})
        score_change = explain_head(f"ig(space={space})", logit, x, context, presented.detector.clock)
        maps += [
            (localisation.FEATURE_CHANGE, space, localisation.feature_change(x, start)),
            (localisation.SCORE_CHANGE, space, score_change.by_frame),
        ]
    return maps


def cell_rows(presented: Presented, places: pd.DataFrame, budget: int) -> Rows:
    """How well maps in time and frequency find the place of a spoof, over cells of `BANDS` mel bands by `CELL_S`.

    The maps are the grid of `sslig.attribution.grids` with a `budget` of forward passes, its rival that follows
    gradients, and the energy of a cell. `places` are rows of `sslig.corpora.planted.truth`. Nothing is measured where
    no cell, or every one, belongs to a place.
    """
    detector, waveform, seed = presented.detector, presented.waveform, presented.controls.seed
    end_s = detector.clock.n_samples(presented.controls.n_read) / SAMPLE_RATE_HZ
    time_s = np.linspace(0, end_s, max(2, round(end_s / CELL_S)) + 1)
    hz = grids.hertz(np.linspace(0, grids.NYQUIST_MEL, BANDS + 1))
    truth = truth_cells(places, time_s, hz)
    if truth.all() or not truth.any():
        return []
    with measured(waveform.device) as of_grid:
        density = grids.grid(detector, waveform, budget=budget, seed=seed).at
    middle_hz = grids.hertz((np.arange(BANDS) + 0.5) * grids.NYQUIST_MEL / BANDS)
    with measured(waveform.device) as of_path:
        path = grids.spectrogram_gradients(detector, waveform, presented.context.options)
    power = grids.FilterBank(waveform).spectrum[0].abs().square().cpu().numpy()
    maps = {
        "grid": (density(middle_hz, (time_s[1:] + time_s[:-1]) / 2), vars(of_grid)),
        "spectrogram_gradients": (pooled(path.by_layer, hz, time_s), path.record() | vars(of_path)),
        localisation.ENERGY: (pooled(power, hz, time_s), {}),
    }
    about = {"aggregation": CELLS, "space": RECORDING, "smoothing_ms": SMOOTHINGS_MS[0], "place_share": truth.mean()}
    return [
        NO_RECORD | record | about | {"method": name} | row
        for name, (values, record) in maps.items()
        for row in localisation.rows(values, truth, time_s[1])
    ]


def pooled(values: np.ndarray, hz: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """(band, time) Sums of (bin, frame) values of the STFT of `sslig.attribution.grids` over cells with these edges."""
    bin_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, values.shape[0])
    frame_s = np.arange(values.shape[1]) * grids.STFT_CLOCK.hop_s
    at = [array.ravel() for array in np.meshgrid(bin_hz, frame_s, indexing="ij")]
    return np.histogram2d(*at, bins=[hz, time_s], weights=values.ravel())[0]


def transplant_rows(presented: Presented, truth: np.ndarray, twin: Tensor, band_hz: Sequence[float]) -> Rows:
    """Scores of a spoof with parts of its (1, samples) twin, by space (`sslig.validation.transplants`).

    `truth` is (frame,) bool, True in the place. For a cue within `band_hz` there is a row in which that band, at all
    times, stands for the place.
    """
    detector, waveform = presented.detector, presented.waveform
    share = transplants.shares(truth, detector.clock, waveform.shape[1])
    rows = [{"space": WAVEFORM} | transplants.transplanted(detector, waveform, twin, share)]
    for space in SPACES:
        (logit, x), (_, other) = (view(detector, given, space) for given in (waveform, twin))
        rows.append({"space": space} | transplants.transplanted(logit, x, other, truth[:, None]))
    if tuple(band_hz) != WHOLE_HZ:
        bank = grids.FilterBank(waveform)
        mask = bank.masks([[*grids.mel(np.asarray(band_hz)), 0, bank.duration_s]])
        spectra, other = (bank.spectrum, bank.spectrum + grids.FilterBank(twin - waveform).spectrum)
        scores = transplants.transplanted(lambda x: detector(bank.synthesised(x)), spectra, other, mask.cpu().numpy())
        rows.append({"space": BAND} | scores)
    return rows


def twin_waveform(study: Study, detector: Detector, path: str | None, waveform: Tensor) -> Tensor | None:
    """(1, samples) of the sound file of a twin; None where it cannot be read or is not as long as the `waveform`."""
    table = pd.DataFrame({"utterance": ["twin"], "path": [path]}).dropna()
    batches, _ = scoring.batches(table, detector, study.scoring.model_copy(update={"batch_size": 1, "workers": 0}))
    twins = [batch.waveforms.to(waveform.device) for batch in batches]
    return next((twin for twin in twins if twin.shape == waveform.shape), None)
