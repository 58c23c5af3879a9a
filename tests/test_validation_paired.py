"""Pairs whose difference is made: alignment finds the shift and the level, and the difference lies where it was put."""

import numpy as np
import pandas as pd
import pytest

from sslig.corpora import recordings
from sslig.frames import SSL_CLOCK
from sslig.validation import paired

START, STOP = 16_000, 24_000
"""Where the spoof differs, in samples of the spoof."""


@pytest.fixture(scope="module")
def speech():
    return recordings.synthetic(1, 1)[0].sound()[:35_200].astype(np.float32)


@pytest.fixture(scope="module")
def pair(speech):
    """The spoof starts 800 samples later than its original, has half its level, and a tone of 3 kHz in one stretch."""
    spoof = np.concatenate([np.zeros(800, np.float32), speech])[:35_200]
    tone = np.zeros(35_200)
    tone[START:STOP] = 3 * spoof.std() * np.sin(2 * np.pi * 3_000 * np.arange(STOP - START) / 16_000)
    return paired.align((0.5 * (spoof + tone)).astype(np.float32), speech)


def test_the_original_is_shifted_to_the_spoof_and_has_its_level(pair, speech):
    assert (pair.first, pair.stop) == (800, 35_200)
    assert pair.correlation > paired.LEAST_ALIGNED
    shape = pair.original[800:] / speech[:-800]
    assert shape[np.abs(speech[:-800]) > 1e-3] == pytest.approx(np.median(shape), rel=1e-3)
    assert pair.original[800:].std() == pytest.approx(pair.spoof[800:].std(), rel=0.01)


def test_unlike_recordings_are_not_aligned(speech, rng):
    assert paired.align(rng.standard_normal(35_200).astype(np.float32), speech).correlation < 0.5


def test_the_difference_lies_in_the_stretch_and_the_band_of_the_tone(pair):
    cells = paired.difference_db(pair, SSL_CLOCK)
    assert cells.shape == (paired.N_BANDS, SSL_CLOCK.n_frames(35_200))
    start = np.arange(cells.shape[1]) * 320
    assert np.isnan(cells[0]).tolist() == (start < 800).tolist()
    within, clear = (start >= START) & (start + 400 <= STOP), (start + 400 < START) & (start >= 800)
    band = np.nanargmax(cells[:, within].mean(axis=1))
    assert cells[band, within].min() > 10
    # The tone raises the level of the whole spoof, so all the rest of the original is louder by as much.
    assert np.ptp(cells[band, clear]) < cells[band, within].min()


def test_a_quarter_of_the_frames_belongs_to_the_place():
    assert np.flatnonzero(paired.changed(np.arange(20.0))).tolist() == [15, 16, 17, 18, 19]


def test_only_spoofs_that_keep_time_have_an_original():
    rows = [
        *[("b", "r1", 0, "-", "-"), ("coded", "r1", 0, "C01", "-"), ("vocoded", "r1", 1, "-", "A01")],
        *[("stretched", "r1", 1, "-", "A04"), ("spoken", "r1", 1, "-", "A06"), ("alone", "r2", 1, "-", "A01")],
        ("coded_spoof", "r1", 1, "C01", "A01"),
    ]
    table = pd.DataFrame(rows, columns=["path", "recording", "label", "codec", "attack"])
    assert paired.pairs(table)[["path", "original"]].to_numpy().tolist() == [["vocoded", "b"]]
