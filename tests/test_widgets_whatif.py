import numpy as np
import pandas as pd
import pytest
import torch

from sslig import stages
from sslig.cues.interventions import InterventionError
from sslig.frames import SSL_CLOCK
from sslig.widgets import opened, whatif
from sslig.widgets.archive import Archive
from sslig.widgets.whatif import Change, WhatIfError

DRAWS = 3


@pytest.fixture(scope="module")
def archive(explained_study):
    return Archive(explained_study)


@pytest.fixture(scope="module")
def bench(archive):
    return archive.bench


@pytest.fixture(scope="module")
def one(archive):
    return archive.open("E_0000")


def ask(bench, one, trials, draws=DRAWS):
    return list(whatif.changes(bench, one, trials, draws=draws))


def test_a_region_is_the_frames_whose_centres_lie_in_it():
    mask = whatif.region_mask(0.0125, 0.0525, SSL_CLOCK, 10)
    assert mask.nonzero()[:, 1].tolist() == [0, 1]  # centres 0.0125 and 0.0325 s; the end is not in it


def test_a_region_is_taken_away_in_both_spaces_from_every_detector(bench, one):
    found = ask(bench, one, whatif.of_region(0.1, 0.2))
    assert [(change.space, change.detector) for change in found] == [
        (space, name) for space in ("feature", "waveform") for name in bench.names
    ]
    for change in found:
        assert change.spoof_score == pytest.approx(one.attributions[change.detector].spoof_score, abs=1e-4)
        assert change.share == pytest.approx(5 / one.clock.n_frames(len(one.waveform)))
        assert len(change.control_scores) == DRAWS
    assert any(change.change != 0 for change in found)


def test_a_region_in_features_is_what_the_nearest_frames_give(bench, one):
    change = next(change for change in ask(bench, one, whatif.of_region(0.1, 0.2)) if change.detector == "camhfa")
    detector = bench.detector("camhfa")
    with torch.no_grad():
        features = detector.features(torch.from_numpy(one.waveform)[None])
        mask = whatif.region_mask(0.1, 0.2, one.clock, features.shape[2])[0]
        first, last = mask.nonzero()[[0, -1], 0].tolist()
        features[:, :, first : last + 1] = ((features[:, :, first - 1] + features[:, :, last + 1]) / 2)[:, :, None]
        assert detector.head(features).item() == pytest.approx(change.masked_score, abs=1e-4)


def test_what_is_heard_is_the_region_filled(bench, one):
    heard = whatif.heard(bench, one, whatif.of_region(0.1, 0.2, "silence"), draws=DRAWS)
    assert len(heard) == len(one.waveform)
    assert np.abs(heard[1800:3000]).max() == 0
    np.testing.assert_array_equal(heard[4000:], one.waveform[4000:])
    assert whatif.heard(bench, one, whatif.named("phonemes"), draws=DRAWS) is None


def test_a_named_mask_gives_the_numbers_of_the_studys_tables(bench, one, explained_study):
    table = stages.masked(explained_study, "sls", 0, ["noise", "volume"]).set_index(["mask", "utterance"])
    for spec in ("noise", "volume"):
        expected = table.loc[spec, one.name]
        change = next(change for change in ask(bench, one, whatif.named(spec)) if change.detector == "sls")
        assert change.masked_score == pytest.approx(expected["masked_score"], abs=1e-4)
        np.testing.assert_allclose(change.control_scores, expected["control_scores"], atol=1e-4)
        assert change.status == expected["status"]


def test_a_change_knows_its_place_among_the_controls():
    change = Change("sls", "region", "feature", "", 1.0, 0.0, np.array([1.5, 0.0, -1.0, 2.5]), "applied", 0.1)
    assert change.change == -1
    assert change.as_extreme == 3  # 0.5, -1, -2 and 1.5: all but the first move it as far
    told = change.told()
    assert told["control_mean"] == pytest.approx(-0.25)
    assert told["control_low"] == pytest.approx(np.percentile([0.5, -1, -2, 1.5], 2.5))
    alone = Change("sls", "volume", "waveform", "", 1.0, 0.5, np.array([]), "applied", 1.0)
    assert (alone.as_extreme, alone.told()["control_mean"]) == (None, None)


@pytest.mark.parametrize("region", [(-0.1, 0.2), (0.3, 0.3), (0.3, 0.2), (float("nan"), 1.0), (0.1, float("inf"))])
def test_a_region_that_is_none_is_refused(region):
    with pytest.raises(WhatIfError, match=r"a region from .* it must begin at 0 or later and end after that"):
        whatif.of_region(*region)


def test_what_cannot_be_tried_is_refused_with_what_is_accepted(bench, one):
    with pytest.raises(WhatIfError, match=r"fill 'water'; accepted: silence, noise, interpolation"):
        whatif.of_region(0, 1, "water")
    with pytest.raises(WhatIfError, match=r"no frame of E_0000 has its centre between 9.000 and 9.500 s; it is"):
        ask(bench, one, whatif.of_region(9, 9.5))
    with pytest.raises(InterventionError, match="intervention 'vowels'; accepted: noise"):
        whatif.named("vowels")
    without = opened.recording(bench, one.name, one.waveform, made=one.attributions)
    with pytest.raises(InterventionError, match="pauses: E_0000 has no segments that would say where"):
        ask(bench, without, whatif.named("pauses"))


def test_suggestions_are_the_studys_masks_and_all_that_need_no_parameter():
    found = whatif.suggestions(["noise(alpha=0.5)", "volume"])
    assert found[:2] == ["noise(alpha=0.5)", "volume"]
    assert "phone:vowel" in found
    assert "lowpass" not in found  # it needs a frequency
    assert pd.Series(found).is_unique
