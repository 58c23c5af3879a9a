"""What is explained: one logit a row, of one utterance, with the selection of nodes frozen or free."""

import pytest
import torch

from sslig.attribution.target import check, of_head, of_projected
from sslig.errors import DetectorError, InputError


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mean(x):
    return x.mean(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (lambda x: x.sum(), r"gave shape \(\) for a batch of 3; one logit a row, batch first"),
        (lambda x: x.sum(dim=(0, 2, 3)), r"gave shape \(2,\) for a batch of 3"),  # layers as the batch
        (lambda x: x.mean(dim=0).sum().reshape(1), r"gave shape \(1,\) for a batch of 3"),
        (lambda x: mean(x).unsqueeze(1), r"gave shape \(3, 1\) for a batch of 3"),
    ],
)
def test_a_head_without_one_logit_a_row_is_refused(head, message):
    target = of_head(head, normal(1, 2, 5, 3), normal(3, 2, 5, 3), freeze=True)
    with pytest.raises(DetectorError, match=message):
        assert target.baseline_score


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.double(), r"features in torch\.float64"),
        (lambda x: x.bfloat16(), r"features in torch\.bfloat16"),
        (lambda x: x.repeat(2, 1, 1, 1), r"features of shape \(2, 2, 5, 3\)"),
        (lambda x: x[0], r"features of shape \(2, 5, 3\)"),
        (lambda x: x.where(x != x[0, 0, 0, 0], torch.nan), "NaN or infinite"),
        (lambda x: x / 0, "NaN or infinite"),
    ],
)
def test_other_features_are_refused(change, message):
    check(normal(1, 2, 5, 3))
    with pytest.raises(InputError, match=message):
        check(change(normal(1, 2, 5, 3)))


def test_scores_are_those_of_the_input_and_the_mean_over_the_starts():
    features, starts = normal(1, 2, 5, 3), normal(4, 2, 5, 3, seed=1)
    target = of_head(mean, features, starts, freeze=True)
    assert target.spoof_score == pytest.approx(features.mean().item())
    assert target.baseline_score == target.free_baseline_score == pytest.approx(starts.mean().item())
    assert of_head(mean, features, None, freeze=True).baseline_score is None


def test_a_frozen_selection_is_that_of_the_explained_input(tiny_detector):
    head, features, starts = tiny_detector("aasist").head, normal(1, 3, 30, 16), normal(2, 3, 30, 16, seed=1)
    frozen, free = (of_head(head, features, starts, freeze=freeze) for freeze in (True, False))
    assert frozen.spoof_score == pytest.approx(free.spoof_score) == pytest.approx(head(features).item())
    assert frozen.free_baseline_score == free.baseline_score == pytest.approx(head(starts).mean().item())
    assert frozen.baseline_score == pytest.approx(head(starts, head.select(features)).mean().item())
    assert frozen.baseline_score != pytest.approx(free.baseline_score, abs=1e-6)


@pytest.mark.parametrize(("name", "n_read"), [("aasist", 40), ("camhfa", 40), ("sls", 30)])
def test_the_logit_behind_the_map_of_frames_is_the_same(tiny_detector, name, n_read):
    head, features, starts = tiny_detector(name).head, normal(1, 3, 40, 16), normal(1, 3, 40, 16, seed=1)
    direct, projected = of_head(head, features, starts, freeze=False), of_projected(head, features, starts)
    assert projected.spoof_score == pytest.approx(direct.spoof_score, abs=1e-5)
    assert projected.baseline_score == pytest.approx(direct.baseline_score, abs=1e-5)
    assert direct.n_read == projected.n_read == n_read
