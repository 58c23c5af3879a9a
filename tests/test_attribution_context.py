import pandas as pd
import pytest
import torch

from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context, Draw, blurred, dev_threshold, fitted, neutral_weights, real_draws
from sslig.corpora import protocol
from sslig.errors import InputError
from sslig.study import Scoring


def test_a_blur_keeps_what_stays_and_takes_what_passes():
    """A constant stays, also at the ends; one frame in 201 is spread over its neighbours and keeps its sum."""
    features = torch.zeros(1, 2, 201, 3)
    features[:, 0] = 4.0
    features[0, 1, 100, 2] = 1.0
    result = blurred(features)
    torch.testing.assert_close(result[:, 0], features[:, 0])
    assert result[0, 1, 100, 2] == result[0, 1, :, 2].max() < 0.05
    assert result[0, 1, :, 2].sum() == pytest.approx(1, abs=1e-4)
    assert (result[0, 1, :, :2] == 0).all()


def test_a_draw_is_cut_or_repeated():
    short, long = torch.arange(3.0).reshape(1, 3, 1), torch.arange(9.0).reshape(1, 9, 1)
    assert fitted(short, 7)[0, :, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert fitted(long, 7)[0, :, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_draws_are_balanced_or_bona_fide():
    spoofs, bonafide = ([Draw(label, {"features": torch.zeros(1, 1, 1)}) for _ in range(3)] for label in (1, 0))
    context = Context({"given": Baseline("given", torch.zeros(2, 3), {})}, (*bonafide, *spoofs))
    assert context.drawn(4, "balanced") == [*spoofs[:2], *bonafide[:2]]
    assert context.drawn(3, "bonafide") == bonafide
    assert context.drawn(8, "balanced") == [*spoofs, *bonafide]  # as many as there are
    with pytest.raises(InputError, match="balanced draws of real utterances are needed to start from; there are none"):
        Context({}).drawn(8, "balanced")
    with pytest.raises(InputError, match="baseline 'mean'; there are given, zero, blurred"):
        context.start("mean", torch.zeros(1, 2, 4, 3), "features")


@pytest.mark.parametrize(("threshold", "share"), [(1.0, 0.5), (2.0, 0.75), (-0.5, 0.125)])
def test_sides_are_weighted_so_that_the_starts_score_at_the_threshold(threshold, share):
    """Mean scores of -1 and 3: the share s of those above solves 3 s - (1 - s) = threshold."""
    scores = torch.tensor([2.5, 3.5, -1.5, -0.75, -0.75], dtype=torch.float64)
    weights = neutral_weights(scores, threshold)
    assert weights.tolist() == pytest.approx([share / 2] * 2 + [(1 - share) / 3] * 3)
    assert (weights * scores).sum().item() == pytest.approx(threshold)


@pytest.mark.parametrize("threshold", [None, -9.0, 9.0])
def test_starts_on_one_side_count_alike(threshold):
    assert neutral_weights(torch.tensor([1.0, 3.0]), threshold).tolist() == [0.5, 0.5]


def test_smooth_starts_are_a_mean_frame_and_blurred_utterances():
    """A constant and a frame that differs: the mean of bona fide frames is constant, and blurred the frame is gone."""
    spoof, bonafide = torch.zeros(1, 60, 1), torch.full((1, 60, 1), 2.0)
    spoof[0, 30] = 1.0
    draws = tuple(Draw(label, {"recording": each}) for label, each in ((1, spoof), (0, bonafide)))
    x = torch.ones(1, 1, 60, 1)
    starts = Context({}, draws).starts(2, "smooth", x, "recording")
    assert starts.shape == (3, 1, 60, 1)
    assert (starts[0] == 2).all()
    assert 0 < starts[1].max() < 0.05
    torch.testing.assert_close(starts[2], bonafide)
    given = Context({"bonafide_mean": Baseline("given", torch.zeros(1, 1), {}, torch.full((1, 1), 5.0))}, draws)
    assert (given.starts(2, "smooth", x, "recording")[0] == 5).all()
    assert torch.equal(given.starts(2, "balanced", x, "recording")[0], spoof)


def test_the_threshold_is_that_of_the_equal_error_rate():
    scores = pd.DataFrame({"key": ["bonafide"] * 3 + ["spoof"] * 3, "spoof_score": [0.0, 1, 2, 3, 4, 5]})
    assert 2 < dev_threshold(scores) <= 3


def test_generators_differ_by_seed_utterance_and_purpose():
    def first(context, what="noise"):
        return torch.rand(1, generator=context.generator(what)).item()

    context = Context({}, utterance="E_1")
    assert first(context) == first(Context({}).of("E_1"))
    assert len({first(context), first(context, "points"), first(context.of("E_2")), first(Context({}, seed=1))}) == 4


def test_draws_are_the_features_of_the_utterances_in_their_order(tiny_detector, corpus, tmp_path):
    table = protocol.load_set(corpus, "train")
    bonafide = table[table["key"] == "bonafide"].reset_index(drop=True)
    detector = tiny_detector()
    result = real_draws(detector, bonafide, Scoring(), "cpu")
    assert [draw.inputs["features"].shape for draw in result] == [(3, n_frames, 16) for n_frames in (18, 24, 24, 29)]
    assert [draw.inputs["recording"].shape for draw in result] == [(1, n_frames, 8) for n_frames in (18, 24, 24, 29)]
    assert {draw.label for draw in result} == {0}
    (tmp_path / "broken.flac").write_bytes(b"")
    bonafide.loc[0, "path"] = str(tmp_path / "broken.flac")
    rest = real_draws(detector, bonafide, Scoring(), "cpu")
    assert len(rest) == 3
    assert torch.equal(rest[0].inputs["features"], result[1].inputs["features"])
    with pytest.raises(InputError, match="none of 1 utterances to start from could be read"):
        real_draws(detector, bonafide.head(1), Scoring(), "cpu")
