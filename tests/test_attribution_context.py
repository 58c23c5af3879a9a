import numpy as np
import pytest
import torch

from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context, blurred, bonafide_draws
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
    starts = Context({}, (short, long)).starts(2, torch.zeros(1, 1, 7, 1))
    assert starts[:, 0, :, 0].tolist() == [[0, 1, 2, 0, 1, 2, 0], [0, 1, 2, 3, 4, 5, 6]]


def test_draws_that_do_not_fit_are_refused():
    context = Context({"given": Baseline("given", torch.zeros(2, 3), {})}, (torch.zeros(2, 4, 3),))
    with pytest.raises(InputError, match="2 bona fide draws; accepted: 1 to the 1 that there are"):
        context.starts(2, torch.zeros(1, 2, 4, 3))
    with pytest.raises(InputError, match="baseline 'mean'; there are given, zero, blurred"):
        context.start("mean", torch.zeros(1, 2, 4, 3))


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
    result = bonafide_draws(detector, bonafide, Scoring(), "cpu")
    assert [draw.shape for draw in result] == [(3, n_frames, 16) for n_frames in (18, 24, 24, 29)]
    (tmp_path / "broken.flac").write_bytes(b"")
    bonafide.loc[0, "path"] = str(tmp_path / "broken.flac")
    rest = bonafide_draws(detector, bonafide, Scoring(), "cpu")
    assert len(rest) == 3
    np.testing.assert_array_equal(rest[0], result[1])
    with pytest.raises(InputError, match="none of 1 bona fide utterances could be read"):
        bonafide_draws(detector, bonafide.head(1), Scoring(), "cpu")
