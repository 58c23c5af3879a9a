import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from sslig import audio
from sslig.cues import masking
from sslig.errors import InputError, StudyError
from sslig.frames import SSL_CLOCK
from sslig.labels import KEYS
from sslig.pipeline import outputs
from sslig.stats import calibration
from sslig.study import load
from sslig.widgets.bench import Bench, beside_chance, named, region_frames, suggestions, without_region

HEADS = ["aasist", "camhfa", "sls"]


@pytest.fixture(scope="module")
def bench(explained_study, inside_rule):
    return Bench(explained_study)


@pytest.fixture(scope="module")
def opened(bench):
    return bench.open("E_0000")


def test_the_pipeline_is_asked_once(explained_study, inside_rule, monkeypatch):
    requests = []
    monkeypatch.setattr(outputs, "request", lambda study, paths: requests.append(len(paths)))
    Bench(explained_study).open("E_0003")
    assert requests == [6 * len(HEADS) + 1]  # six files of each detector, and the segments


def test_stored_explanations_are_read_and_not_computed_again(bench, monkeypatch):
    monkeypatch.setattr(bench, "explain", lambda *arguments: pytest.fail("explained again"))
    recording = bench.open("E_0000")
    stored = pd.read_parquet(bench.study.run("sls", 0) / "attributions.parquet").set_index("utterance").loc["E_0000"]
    np.testing.assert_array_equal(recording.explanations["sls"].by_layer, np.stack(stored["by_layer"]))
    assert recording.explanations["sls"].residual == stored["residual"]
    assert recording.title().startswith("E_0000: bona fide, speaker E_S0")
    assert set(recording.tiers) == {"speech", "voicing", "phones"}


def test_the_waveform_is_the_file_trimmed_to_whole_frames(bench, opened):
    samples = audio.read(bench.catalogue.path("E_0000"))
    used = bench.clock.n_samples(bench.clock.n_frames(len(samples)))
    np.testing.assert_array_equal(opened.waveform, samples[:used])


@pytest.mark.parametrize("name", HEADS)
def test_an_explanation_made_now_equals_the_stored_one(bench, opened, name):
    now, stored = bench.explain(name, opened.waveform), bench.stored(name, "E_0000")
    np.testing.assert_allclose(now.by_layer, stored.by_layer, atol=1e-5)
    assert (now.status, now.steps, now.selection) == (stored.status, stored.steps, stored.selection)
    assert now.spoof_score == pytest.approx(stored.spoof_score, abs=1e-5)


def test_missing_explanations_are_computed_and_add_up(bench):
    steps = []
    recording = bench.open("E_0003", lambda what, share: steps.append((what, share)))
    assert list(dict.fromkeys(steps)) == [(f"explaining with {name}", i / 3) for i, name in enumerate(HEADS)]
    assert len(steps) > 2 * len(HEADS)  # before every pass, so that each can be stopped
    for name, explanation in recording.explanations.items():
        assert explanation.by_layer.sum() - explanation.difference == pytest.approx(explanation.residual, abs=1e-6)
        assert explanation.spoof_score == pytest.approx(bench.catalogue.row("E_0003")[name], abs=1e-4)


def test_the_ratio_is_that_of_a_calibration_on_dev(bench, explained_study):
    dev = pd.read_parquet(explained_study.run("sls", 0) / "scores_dev.parquet")
    expected = calibration.calibrate(dev["spoof_score"], dev["key"].map(KEYS))
    assert bench.llr("sls", 0.7) == pytest.approx(expected([[0.7]])[0])


def test_segments_are_decoded_with_progress(bench, opened):
    steps = []
    recording = bench.decoded(opened, lambda what, share: steps.append(what))
    assert steps == ["segments by vad", "segments by voicing", "segments by pocketsphinx:phones"]
    assert [tier.labels for tier in recording.tiers.values()] == [tier.labels for tier in opened.tiers.values()]


def test_only_detectors_and_seeds_of_the_study_are_accepted(explained_study, inside_rule):
    with pytest.raises(StudyError, match="unknown detector 'resnet'"):
        Bench(explained_study, ["resnet"])
    with pytest.raises(StudyError, match="seed 5 is not among its seeds"):
        Bench(explained_study, seed=5)


# ---------------------------------------------------------------- what if


def test_a_region_is_removed_in_both_spaces_from_every_detector(bench, opened):
    rows = list(bench.changes(opened, without_region(0.1, 0.2)))
    assert [row["detector"] for row in rows] == 2 * HEADS
    assert [row["space"] for row in rows] == 3 * ["feature"] + 3 * ["waveform"]
    for row in rows:
        assert row["spoof_score"] == pytest.approx(opened.explanations[row["detector"]].spoof_score, abs=1e-4)
        assert row["share"] == pytest.approx(5 / SSL_CLOCK.n_frames(len(opened.waveform)))
        assert row["draws"] == 3
    assert any(row["change"] != 0 for row in rows)


def test_a_region_in_features_becomes_the_mean_of_its_neighbours(bench, opened):
    (row,) = [row for row in bench.changes(opened, without_region(0.1, 0.2)[:1]) if row["detector"] == "camhfa"]
    detector = bench.detector("camhfa")
    with torch.no_grad():
        features = detector.features(torch.from_numpy(opened.waveform)[None])
        first, last = region_frames(opened, 0.1, 0.2)[0].nonzero()[[0, -1], 0].tolist()
        features[:, :, first : last + 1] = ((features[:, :, first - 1] + features[:, :, last + 1]) / 2)[:, :, None]
        assert detector.head(features).item() == pytest.approx(row["masked_score"], abs=1e-4)


def test_a_region_is_the_frames_whose_centres_lie_in_it(opened):
    frames = region_frames(opened, 0.0125, 0.0525)
    assert frames.nonzero()[:, 1].tolist() == [0, 1]  # centres 0.0125 and 0.0325 s; the end is excluded


def test_the_changed_recording_has_the_region_filled(bench, opened):
    changed = bench.changed(opened, without_region(0.1, 0.2, "silence"))
    assert len(changed) == len(opened.waveform)
    assert np.abs(changed[1800:3000]).max() == 0
    np.testing.assert_array_equal(changed[4000:], opened.waveform[4000:])
    assert bench.changed(opened, named("phonemes")) is None


def test_a_change_is_ranked_among_its_controls():
    row = beside_chance(1.0, 0.0, np.array([1.5, 0.0, -1.0, 2.5]))
    assert row["change"] == -1
    assert row["as_extreme"] == 3  # changes 0.5, -1, -2 and 1.5: all but the first are as large
    assert row["control_mean"] == pytest.approx(-0.25)
    assert row["control_low"] == pytest.approx(np.percentile([0.5, -1, -2, 1.5], 2.5))
    alone = beside_chance(1.0, 0.5, np.array([]))
    assert (alone["change"], alone["as_extreme"], alone["control_mean"]) == (-0.5, None, None)


def test_one_recording_of_each_detector_is_ready_for_masks(bench, opened):
    first = bench.masked("sls", opened)
    assert bench.masked("sls", opened) is first
    assert bench.masked("sls", bench.open("E_0001")).name == "E_0001"


@pytest.mark.parametrize("region", [(-0.1, 0.2), (0.3, 0.3), (0.3, 0.2), (float("nan"), 1.0), (0.1, float("inf"))])
def test_an_empty_region_is_refused(region):
    with pytest.raises(InputError, match=r"a region from .* it must begin at 0 or later and end after that"):
        without_region(*region)


def test_impossible_changes_are_refused(bench, opened):
    with pytest.raises(InputError, match=r"fill 'water'; accepted: silence, noise, interpolation"):
        without_region(0, 1, "water")
    with pytest.raises(InputError, match=r"no frame of E_0000 has its centre between 9.000 and 9.500 s; it is"):
        list(bench.changes(opened, without_region(9, 9.5)))
    with pytest.raises(InputError, match="'vowels'; accepted: noise"):
        named("vowels")
    without = bench.explained(opened.name, opened.waveform, opened.explanations)
    with pytest.raises(InputError, match="pauses: E_0000 has no segments that tell where to act"):
        list(bench.changes(without, named("pauses")))


def test_suggestions_are_the_masks_of_the_study_and_all_without_required_parameters(explained_study):
    masks = suggestions(explained_study)
    assert masks[0] == "noise"
    assert "phone:vowel" in masks
    assert "lowpass" not in masks  # it needs a frequency
    assert len(set(masks)) == len(masks)


# ---------------------------------------------------------------- golden numbers


@pytest.fixture(scope="module")
def golden_bench(golden, tmp_path_factory, inside_rule):
    """The bench of the golden detectors, as if the pipeline had made their files."""
    root = tmp_path_factory.mktemp("golden")
    shutil.copytree(golden / "corpus", root / "corpus")
    for folder in ("flac_T", "flac_D"):
        (root / "corpus" / folder).symlink_to(root / "corpus" / "flac_E_eval")
    for name in ("train", "dev.track_1"):
        shutil.copy(root / "corpus" / "ASVspoof5.eval.track_1.tsv", root / "corpus" / f"ASVspoof5.{name}.tsv")
    values = {"name": "golden", "corpus": {"source": "asvspoof5", "root": "corpus"}, "backbone": "none"}
    values |= {"detectors": {name: {"head": name} for name in HEADS}, "seeds": [0], "device": "cpu"}
    values["attribution"] = {"method": "ig(space=features)"}
    (root / "experiment.yaml").write_text(yaml.safe_dump(values))
    study = load(root / "experiment.yaml")
    for name in HEADS:
        run, tables = study.run(name, 0), golden / "tables" / name
        shutil.copytree(golden / "detectors" / name, run / "detector")
        for mean in ("baseline", "nonspeech"):
            shutil.copy(run / "detector" / f"{mean}.safetensors", run / f"{mean}.safetensors")
        shutil.copy(tables / "attributions.parquet", run / "attributions.parquet")
        for set_name in ("dev", "eval"):
            shutil.copy(tables / "scores.parquet", run / f"scores_{set_name}.parquet")
    shutil.copy(golden / "tables" / "segments.parquet", study.runs / "segments_eval.parquet")
    return Bench(study)


def test_live_explanations_have_the_golden_numbers(golden_bench):
    recording = golden_bench.open("E_0000000022")
    for name in HEADS:
        now, stored = golden_bench.explain(name, recording.waveform), golden_bench.stored(name, recording.name)
        np.testing.assert_allclose(now.by_frame, stored.by_frame, atol=0.1 * np.abs(stored.by_frame).max())
        assert now.spoof_score == pytest.approx(stored.spoof_score, rel=1e-5)


@pytest.mark.parametrize("spec", ["noise", "phone:vowel", "volume"])
def test_live_masks_have_the_golden_numbers(golden, golden_bench, spec, monkeypatch):
    """Controls are golden where they are not scaled to the displacement of the mask."""
    monkeypatch.setattr(masking, "scales", torch.ones_like)
    recording = golden_bench.open("E_0000000022")
    for row in golden_bench.changes(recording, named(spec)):
        file = golden / "tables" / row["detector"] / f"mask_{spec.replace(':', '-')}.parquet"
        expected = pd.read_parquet(file).set_index("utterance").loc[recording.name]
        assert row["masked_score"] == pytest.approx(expected["masked_score"], rel=1e-5)
        assert row["status"] == expected["status"]
        if row["draws"]:
            mean = np.mean(expected["control_scores"]) - expected["spoof_score"]
            assert row["control_mean"] == pytest.approx(mean, rel=1e-5, abs=1e-5)
