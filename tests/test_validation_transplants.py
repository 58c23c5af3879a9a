"""Transplants of functions whose parts are known: what carries a decision is what they sum."""

import numpy as np
import pandas as pd
import pytest
import torch

from sslig.frames import SSL_CLOCK
from sslig.stats.bootstrap import Units, estimate
from sslig.validation.transplants import SCORES, carried, shares, summarise, transplanted

SHAPE = (1, 2, 10, 3)
PLACE = np.arange(10) < 4


def figures(table):
    units = Units.of(np.arange(len(table)))
    return estimate(carried(table), units, seed=0, rounds=20).value


def carried_by(logit):
    scores = transplanted(logit, torch.ones(SHAPE), torch.zeros(SHAPE), PLACE[:, None])
    assert scores["spoof_score"] == logit(torch.ones(SHAPE)).item()
    return figures(pd.DataFrame([scores]))


@pytest.mark.parametrize("inside", [0.0, 0.25, 1.0])
def test_a_sum_over_frames_is_carried_by_the_frames_it_sums(inside):
    weights = torch.from_numpy(np.where(PLACE, inside / 4, (1 - inside) / 6).astype(np.float32))
    expected = inside, 1 - inside, 2 * inside - 1
    assert carried_by(lambda x: x.mean(dim=(1, 3)) @ weights) == pytest.approx(expected, abs=1e-6)


def test_where_either_would_do_neither_carries_and_where_both_are_needed_both_do():
    def parts(features):
        return torch.stack([features[:, :, torch.tensor(part)].mean(dim=(1, 2, 3)) for part in (PLACE, ~PLACE)])

    assert carried_by(lambda x: parts(x).amax(dim=0)) == pytest.approx((0, 0, 0))
    assert carried_by(lambda x: parts(x).amin(dim=0)) == pytest.approx((1, 1, 0))


def test_a_waveform_is_cross_faded_within_what_the_frames_of_the_place_see():
    share = shares(np.array([False, True, True, False]), SSL_CLOCK, 1_360)
    assert np.flatnonzero(share).tolist() == list(range(320, 1_040))  # 320 to 640 + 400
    assert (share[400:960] == 1).all()  # 5 ms are 80 samples
    scores = transplanted(lambda x: x.sum(dim=1), torch.ones(1, 1_360), torch.zeros(1, 1_360), share)
    assert scores["place_restored_score"] == pytest.approx(1_360 - share.sum(), abs=1e-3)
    assert scores["rest_restored_score"] == pytest.approx(share.sum(), abs=1e-3)


def test_utterances_count_by_what_the_cue_changes():
    table = pd.DataFrame([[2.0, 0.0, 0.0, 2.0], [1.0, 0.0, 1.0, 0.5]], columns=list(SCORES))
    assert figures(table) == pytest.approx((2 / 3, 0.5 / 3, 1.5 / 3))
    assert np.isnan(figures(table.assign(spoof_score=-1.0))).all()  # the cue does not raise the score


@pytest.mark.parametrize(("place", "spread", "gate"), [(0.9, 0.0, "yes"), (0.3, 0.0, "no"), (0.52, 0.6, "open")])
def test_a_gate_that_the_interval_crosses_is_open(place, spread, gate):
    """Utterances lie `spread` on either side of what the place carries; the rest carries the remainder."""
    shares = place + spread * np.tile([-1, 1], 6)
    scores = [dict(zip(SCORES, [1.0, 0.0, 1 - share, share], strict=True)) for share in shares]
    table = pd.DataFrame(scores).assign(kind="band", detector="x", space="features", speaker="s")
    table["recording"] = np.arange(len(table)).astype(str)
    row = summarise(table, recordings=True, seed=0, rounds=200).iloc[0]
    assert row[["place", "rest", "excess"]].tolist() == pytest.approx([place, 1 - place, 2 * place - 1])
    assert row["place_low"] <= place <= row["place_high"]
    assert (row["rests_on_place"], row["n"]) == (gate, 12)
