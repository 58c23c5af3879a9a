import numpy as np
import pytest

from sslig import audio, stages
from sslig.study import StudyError
from sslig.widgets.bench import Bench

DRAWS = 2


@pytest.fixture(scope="module")
def bench(explained_study):
    return Bench(explained_study)


@pytest.fixture(scope="module")
def waveform(bench, explained_study):
    """(samples,) The first explained utterance, trimmed to whole frames."""
    path = stages.explained(explained_study).set_index("utterance").at["E_0000", "path"]
    samples = audio.read(path)
    return samples[: bench.clock.n_samples(bench.clock.n_frames(len(samples)))]


@pytest.mark.parametrize("name", ["aasist", "camhfa", "sls"])
def test_an_explanation_made_now_is_the_one_the_study_made(bench, waveform, name):
    now, made = bench.explain(name, waveform), bench.attribution(name, "E_0000")
    np.testing.assert_allclose(now.by_layer, made.by_layer, atol=1e-5)
    assert (now.status, now.steps, now.selection) == (made.status, made.steps, made.selection)
    assert now.spoof_score == pytest.approx(made.spoof_score, abs=1e-5)


def test_a_ratio_is_what_the_calibration_of_the_study_gives(bench, explained_study):
    table, _ = stages.calibrated(explained_study, "sls", 0)
    row = table.iloc[3]
    assert bench.llr("sls", row["spoof_score"]) == pytest.approx(row[stages.RATIO])


def test_what_was_made_is_kept(bench):
    assert bench.detector("sls") is bench.detector("sls")
    assert bench.baseline("sls") is bench.baseline("sls")


def test_explained_is_what_all_have_explained(bench, monkeypatch):
    assert bench.explained() == {"E_0000", "E_0001", "E_0004", "E_0007"}
    tables = {name: bench.attributions(name) for name in bench.names}
    tables["sls"] = tables["sls"].drop(index="E_0004")
    monkeypatch.setattr(bench, "attributions", tables.get)
    assert bench.explained() == {"E_0000", "E_0001", "E_0007"}


def test_one_utterance_of_each_detector_is_kept_ready_for_masks(bench, waveform):
    first = bench.on_the_table("sls", "E_0000", waveform, DRAWS)
    assert bench.on_the_table("sls", "E_0000", waveform, DRAWS) is first
    assert bench.on_the_table("sls", "E_0000", waveform, DRAWS + 1) is not first
    assert bench.on_the_table("sls", "E_0000", waveform.copy(), DRAWS + 1).waveform.shape == (1, len(waveform))
    assert first.score == pytest.approx(bench.attribution("sls", "E_0000").spoof_score, abs=1e-5)


def test_the_fewest_frames_are_those_that_all_can_read(bench):
    assert bench.min_frames == max(bench.detector(name).min_frames for name in bench.names)


def test_only_detectors_and_seeds_of_the_study_are_accepted(explained_study):
    with pytest.raises(StudyError, match="unknown detector 'resnet'"):
        Bench(explained_study, ["resnet"])
    with pytest.raises(StudyError, match="seed 5 is not among its seeds"):
        Bench(explained_study, seed=5)
