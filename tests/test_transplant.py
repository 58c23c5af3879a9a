"""Features of a twin in the frames of a place: heads whose evidence lies in known frames."""

import numpy as np
import pandas as pd
import pytest
import torch

from sslig.validation import transplant

SHAPE = (1, 2, 10, 3)
PLACE = np.arange(10) < 4


class Weighted(torch.nn.Module):
    """The mean of each frame, weighted."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, features):
        return features.mean(dim=(1, 3)) @ self.weights


def shares(head, spoof=1.0, twin=0.0):
    features, without = torch.full(SHAPE, spoof), torch.full(SHAPE, twin)
    row = transplant.scores(head, features, without, PLACE)
    assert row["own_score"] == head(features).item()
    return transplant.carried(pd.DataFrame([row])), row


@pytest.mark.parametrize("inside", [0.0, 0.25, 1.0])
def test_a_sum_over_frames_is_carried_by_the_frames_it_sums(inside):
    weights = np.where(PLACE, inside / 4, (1 - inside) / 6).astype(np.float32)
    (place, rest), row = shares(Weighted(weights.tolist()))
    assert (place, rest) == pytest.approx((inside, 1 - inside), abs=1e-6)
    assert row["twin_score"] == 0


def test_where_either_would_do_neither_carries_and_where_both_are_needed_both_do():
    parts = [torch.tensor(PLACE), torch.tensor(~PLACE)]

    def held(features):
        return torch.stack([features[:, :, part].mean(dim=(1, 2, 3)) for part in parts])

    assert shares(lambda x: held(x).amax(dim=0))[0] == pytest.approx((0, 0))
    assert shares(lambda x: held(x).amin(dim=0))[0] == pytest.approx((1, 1))


def test_utterances_count_by_what_the_cue_changes():
    table = pd.DataFrame({
        "own_score": [2.0, 1.0, 5.0], "twin_score": [0.0, 0.0, np.nan], "place_restored_score": [0.0, 1.0, np.nan],
        "rest_restored_score": [2.0, 0.5, np.nan],
    })  # fmt: skip
    assert transplant.carried(table) == pytest.approx((2 / 3, 0.5 / 3))
    assert np.isnan(transplant.carried(table[2:])).all()
    assert np.isnan(transplant.carried(table.assign(own_score=-1.0))).all()  # the cue does not raise the score


@pytest.mark.parametrize(("place", "rest", "rests"), [
    (0.9, 0.1, True), (0.5, 0.5, True), (0.6, 0.7, False), (0.4, 0.1, False), (np.nan, np.nan, False),
])  # fmt: skip
def test_a_decision_rests_on_a_place_that_carries_half_and_no_less_than_the_rest(place, rest, rests):
    assert transplant.rests_on_place(place, rest) is rests
