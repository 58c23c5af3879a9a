"""Maps of utterances beside a truth that is made by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from sslig import audio, scoring
from sslig.attribution.baselines import zero
from sslig.attribution.context import Context
from sslig.attribution.methods import parse
from sslig.corpora import protocol
from sslig.frames import SSL_CLOCK
from sslig.study import Attribution, Scoring
from sslig.validation.planted_maps import PLAIN, Maker


@pytest.fixture
def utterances(corpus):
    """Of 18, 24, 24 and 29 frames."""
    table = protocol.load_set(corpus, "eval")
    return table[table["key"] == "spoof"].reset_index(drop=True)


@pytest.fixture
def maker(tiny_detector, utterances, corpus):
    """Makes a maker for a head: every place is 0.1 to 0.2 s; every bona fide utterance is a twin."""

    def make(head="camhfa", methods=("ig(baseline=zero)", "random"), **changed):
        model = tiny_detector(head, **changed)
        truth = {
            name: pd.DataFrame({"utterance": [name], "start_s": [0.1], "end_s": [0.2]})
            for name in utterances["utterance"]
        }
        bonafide = protocol.load_set(corpus, "eval").query("key == 'bonafide'")["path"]
        twins = dict(zip(utterances["utterance"], bonafide, strict=True))
        context = Context({"zero": zero(3, 16)})
        return Maker(
            model, context, Scoring(), truth, twins, [parse(one) for one in methods], True, torch.device("cpu")
        )

    return make


def all_of(maker, utterances):
    left_out = scoring.LeftOut({})
    with scoring.evaluating(maker.model, "cpu"):
        return {row["utterance"]: maps for row, maps in maker.each(utterances, left_out)}, left_out.table(utterances)


def test_every_utterance_has_every_map(maker, utterances):
    found, left_out = all_of(maker(), utterances)
    assert list(found) == utterances["utterance"].tolist()
    assert left_out.empty
    names = [(method, aggregation) for method in ("ig(baseline=zero)", "random")
             for aggregation in ("signed", "absolute", "l2")]  # fmt: skip
    plain = ("energy", "voice_activity", "non_speech", "attention", "feature_change", "score_change")
    for maps in found.values():
        assert [(one.method, one.aggregation) for one in maps.maps] == [*names, *((name, PLAIN) for name in plain)]
        assert {len(one.frames) for one in maps.maps} == {len(maps.truth)} == {SSL_CLOCK.n_frames(len(maps.waveform))}
        assert [bool(one.certificate) for one in maps.maps] == [True] * 6 + [False] * 6
        assert maps.n_read == len(maps.truth)


def test_the_truth_is_of_frames_that_see_the_place(maker, utterances):
    """Frame t sees samples 320 t to 320 t + 399; the place is samples 1600 to 3199."""
    found, _ = all_of(maker(methods=()), utterances)
    for maps in found.values():
        assert np.flatnonzero(maps.truth).tolist() == list(range(4, 10))


def test_a_twin_of_another_length_tells_nothing(maker, utterances):
    made = maker(methods=())
    paths = list(made.twins.values())
    made.twins.update(dict(zip(made.twins, [paths[3], *paths[1:]], strict=True)))
    found, _ = all_of(made, utterances)
    names = [{one.method for one in maps.maps} for maps in found.values()]
    assert ["feature_change" in each for each in names] == [False, True, True, True]
    assert [np.isnan(list(maps.transplanted.values())).all() for maps in found.values()] == [True, False, False, False]


@pytest.mark.parametrize("head", ["camhfa", "sls", "aasist"])
def test_twins_are_scored_and_what_carries_their_difference_adds_up(maker, utterances, head):
    made = maker(head, methods=())
    made = dataclasses.replace(made, context=dataclasses.replace(made.context, options=Attribution(max_steps=64)))
    for name, maps in all_of(made, utterances)[0].items():
        with torch.no_grad():
            spoof, twin = (
                made.model(torch.from_numpy(audio.read(path))[None, : len(maps.waveform)]).item()
                for path in (utterances.set_index("utterance").at[name, "path"], made.twins[name])
            )
        assert maps.transplanted["twin_score"] == pytest.approx(twin, abs=1e-5)
        (change,) = (one.frames for one in maps.maps if one.method == "score_change")
        if head != "aasist":  # whose nodes are held at those of the spoof
            assert change.sum() == pytest.approx(spoof - twin, abs=0.02 * abs(spoof - twin) + 1e-4)


def test_only_one_head_has_attention(maker, utterances):
    found, _ = all_of(maker("sls", methods=()), utterances)
    assert all("attention" not in {one.method for one in maps.maps} for maps in found.values())


@pytest.mark.parametrize(("n_frames", "seen"), [(6, 2), (12, 6)])
def test_frames_that_are_not_read_are_told(maker, utterances, n_frames, seen):
    found, _ = all_of(maker("sls", methods=(), n_frames=n_frames), utterances)
    assert len(found) == len(utterances)
    for maps in found.values():
        assert maps.n_read == n_frames
        assert maps.truth[: maps.n_read].sum() == seen


def test_an_utterance_with_its_place_out_of_sight_is_left_out_with_the_unreadable(maker, utterances, tmp_path):
    (tmp_path / "broken.flac").write_bytes(b"")
    broken = utterances.assign(path=[str(tmp_path / "broken.flac"), *utterances["path"][1:]])
    found, left_out = all_of(maker("sls", methods=(), n_frames=3), broken)
    assert found == {}
    assert left_out["utterance"].tolist() == utterances["utterance"].tolist()
    assert "broken.flac" in left_out["reason"][0]
    assert left_out["reason"][1] == "0 of the 3 frames that the head reads belong to the place, which has 6"
