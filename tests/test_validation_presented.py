"""Tiny detectors in front of the tiny corpus: which tests are run on an utterance, and that they see its decision."""

import numpy as np
import pandas as pd
import pytest
import torch

from sslig import scoring
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context
from sslig.attribution.methods import parse
from sslig.attribution.target import view
from sslig.corpora import protocol
from sslig.corpora.planted import truth_mask
from sslig.errors import DataError
from sslig.models.detector import Detector
from sslig.validation import presented as module
from sslig.validation import transplants
from sslig.validation.presented import (
    faithfulness_rows,
    localisation_rows,
    measure,
    present,
    sanity_rows,
)
from sslig.validation.statistics import RANDOMISED

ROBUST = {"complexity_rise", "shift_features", "shift_waveform", "max_sensitivity"}
MEANS = {name: Baseline(name, torch.zeros(3, 16), {}, torch.zeros(1, 8)) for name in ("bonafide_mean", "nonspeech")}


@pytest.fixture
def study(experiment):
    validation = experiment.validation.model_copy(update={"draws": 5})
    return experiment.model_copy(update={"validation": validation})


@pytest.fixture
def utterances(corpus):
    """Four spoofs of 18, 24, 24 and 29 frames."""
    spoofs = protocol.load_set(corpus, "eval").query("key == 'spoof'")
    return protocol.with_recordings(corpus, spoofs).reset_index(drop=True)


@pytest.fixture
def context(study):
    return Context(MEANS, options=study.attribution)


@pytest.fixture
def presented(study, context, utterances, tiny_detector):
    """The last utterance, of 29 frames, in front of a detector; `threshold` decides which decision is explained."""

    def make(head="camhfa", threshold=-100.0, **values):
        detector = tiny_detector(head, **values)
        return next(present(study, detector, context, utterances.tail(1), threshold)[0])[1]

    return make


def test_utterances_are_presented_with_their_decision(study, context, utterances, tiny_detector):
    detector = tiny_detector("sls", n_frames=20)
    pairs = list(present(study, detector, context, utterances, -100.0)[0])
    assert {row["utterance"] for row, _ in pairs} == set(utterances["utterance"])
    assert [item.controls.n_read for _, item in pairs] == [min(20, item.features.shape[2]) for _, item in pairs]
    assert len({item.controls.seed for _, item in pairs}) == len(pairs)
    for row, item in pairs:
        assert (item.direction, item.context.utterance) == (1, row["utterance"])
        assert item.spoof_score == pytest.approx(detector(item.waveform).item(), abs=1e-5)
    assert next(present(study, detector, context, utterances, 100.0)[0])[1].direction == -1


@pytest.mark.parametrize("threshold", [-100.0, 100.0])
def test_faithfulness_is_measured_in_each_space_and_towards_the_decision(presented, threshold):
    item = presented(threshold=threshold)
    table = pd.DataFrame(faithfulness_rows(item, parse("ig")))
    areas = table[(table["statistic"] == "deletion_area") & (table["aggregation"] == "signed")]
    assert areas[["space", "replacement"]].to_numpy().tolist() == [
        ["features", "bonafide_mean"],
        ["features", "nonspeech_mean"],
        ["features", "interpolation"],
        ["waveform", "interpolation"],
    ]
    assert set(table["aggregation"]) == {"signed", "absolute", "l2"}
    scores = item.spaces("bonafide_mean")["features", "bonafide_mean"]
    whole, nothing = scores(np.stack([np.zeros(29, dtype=bool), np.ones(29, dtype=bool)]))
    values = table[table["replacement"] == "bonafide_mean"].set_index("statistic")["value"]
    sufficiency, insertion = values["sufficiency"], values["insertion"]
    assert sufficiency == pytest.approx(insertion.mean() - item.direction * (whole - nothing), abs=1e-6)


def test_other_methods_are_measured_signed_only(presented):
    table = pd.DataFrame(faithfulness_rows(presented(), parse("random")))
    assert set(table["aggregation"]) == {"signed"}
    assert (table["statistic"] == "loudness_share").sum() == 1


def test_noise_fails_the_sanity_checks_of_parameters(presented):
    rows = {spec: pd.DataFrame(sanity_rows(presented(), parse(spec))) for spec in ("ig", "random")}
    randomised = {f"{name}_{kind}" for name in RANDOMISED for kind in ("cascading", "independent")}
    assert set(rows["random"]["statistic"]) == ROBUST | randomised
    assert set(rows["ig"]["statistic"]) == ROBUST | randomised | {"steps"}
    values = {spec: table.set_index("statistic")["value"] for spec, table in rows.items()}
    assert values["random"]["randomised_cascading"].tolist() == pytest.approx([1] * 5)
    assert values["random"]["complexity_rise"] == 0
    assert values["ig"]["randomised_cascading"].min() < 0.99


@pytest.fixture
def truth():
    return (np.arange(29) >= 4) & (np.arange(29) < 10)


def planted(item, truth):
    """The waveform of an utterance with noise in the place, so that the utterance is its twin."""
    share = transplants.shares(truth, item.detector.clock, item.waveform.shape[1])
    noise = torch.randn(item.waveform.shape, generator=torch.Generator().manual_seed(0))
    return item.waveform + torch.from_numpy(share).float() * noise


def test_each_map_finds_the_place_or_not(presented, truth):
    item = presented()
    methods = [parse("ig"), parse("ig(space=features)"), parse("random")]
    table = pd.DataFrame(localisation_rows(item, methods, truth, slice(29), planted(item, truth)))
    aggregations = table.groupby(["method", "space"], sort=False)["aggregation"].unique().map(list).to_dict()
    maps = [("ig", "recording"), ("ig(space=features)", "features"), ("random", "recording")]
    plain = [(name, "recording") for name in ("energy", "voice_activity", "non_speech", "attention")]
    plain += [(name, space) for space in ("recording", "features") for name in ("feature_change", "score_change")]
    every = ["signed", "absolute", "l2"]
    assert aggregations == dict.fromkeys(maps, every) | {name: ["plain"] for name in plain}
    assert table["seconds"].notna().equals(table["aggregation"] != "plain")
    widths = table.groupby("aggregation")["smoothing_ms"].unique().map(len).to_dict()
    assert widths == {"signed": 5, "plain": 5, "absolute": 1, "l2": 1}
    values = table.query("statistic == 'roc_auc' and smoothing_ms == 20").set_index(["method", "space"])["value"]
    assert values["feature_change", "recording"] > 0.99


def test_maps_are_compared_within_the_frames_whose_truth_is_known(presented, truth):
    item = presented("sls")
    whole, within = (localisation_rows(item, [parse("random")], truth, part) for part in (slice(29), slice(2, 12)))
    assert len(whole) == len(within)
    share = {row["statistic"]: row["chance"] for row in within}["relevance_rank"]
    assert share == pytest.approx(6 / 10)


def test_the_change_of_the_score_adds_up(presented, truth):
    item = presented("sls")
    twin = planted(item, truth)
    change = item.spoof_score - item.detector(twin).item()
    for name, _, frames in module.limits(item, twin):
        if name == "score_change":
            assert frames.sum() == pytest.approx(change, rel=0.02)


def test_the_twin_is_put_into_the_place_in_every_space(presented, truth):
    item = presented("sls")
    twin = planted(item, truth)
    rows = pd.DataFrame(module.transplant_rows(item, truth, twin)).set_index("space")
    assert rows.index.tolist() == ["waveform", "recording", "features"]
    assert rows["twin_score"].to_numpy() == pytest.approx(item.detector(twin).item(), abs=1e-5)
    share = torch.from_numpy(transplants.shares(truth, item.detector.clock, twin.shape[1])).float()
    restored = item.detector(item.waveform + share * (twin - item.waveform)).item()
    assert rows.at["waveform", "place_restored_score"] == pytest.approx(restored, abs=1e-5)
    logit, x = view(item.detector, item.waveform, "recording")
    x[:, :, truth] = view(item.detector, twin, "recording")[1][:, :, truth]
    assert rows.at["recording", "place_restored_score"] == pytest.approx(logit(x).item(), abs=1e-5)


def test_without_a_twin_nothing_is_known_of_the_cue(presented, truth):
    table = pd.DataFrame(localisation_rows(presented("sls"), [], truth, slice(29)))
    assert set(table["method"]) == {"energy", "voice_activity", "non_speech"}


def test_a_twin_is_read_unless_it_is_missing_or_of_another_length(study, presented, utterances):
    item = presented()
    paths = [utterances["path"].iloc[-1], utterances["path"].iloc[0], None]
    same, shorter, missing = (module.twin_waveform(study, item.detector, path, item.waveform) for path in paths)
    assert torch.equal(same, item.waveform)
    assert shorter is missing is None


@pytest.mark.parametrize("name", ["aasist", "camhfa"])
def test_golden_spoofs_are_detected_by_what_was_planted(golden, study, name):
    folder = golden / "planted" / "splice"
    scores = pd.read_csv(folder / "detected.tsv", sep="\t").query("detector == @name").head(2)
    sounds = scores.assign(path=[str(folder / "spoof" / f"{name}.flac") for name in scores["utterance"]])
    detector, threshold = Detector.from_pretrained(folder / "detectors" / name), scores["threshold"].iloc[0]
    places = pd.read_csv(folder / "places.tsv", sep="\t").groupby("utterance")
    with scoring.evaluating(detector, "cpu"):
        for row, item in present(study, detector, Context({}), sounds.reset_index(drop=True), threshold)[0]:
            assert item.spoof_score == pytest.approx(row["score"], rel=1e-5)
            assert item.direction == 1
            truth = truth_mask(places.get_group(row["utterance"]), detector.clock, item.features.shape[2])
            twin = module.twin_waveform(study, detector, row["path"].replace("/spoof/", "/twin/"), item.waveform)
            rows = pd.DataFrame(module.transplant_rows(item, truth, twin)).set_index("space")
            assert (rows["twin_score"] < rows["spoof_score"]).all()
            change = rows["spoof_score"] - rows["twin_score"]
            carried = (rows["spoof_score"] - rows["place_restored_score"]) / change
            assert carried[["waveform", "recording"]].to_numpy() == pytest.approx(1, abs=0.1)


def rows_of(item, method):
    return [{"statistic": "steps", "value": item.spoof_score}]


def test_a_table_describes_utterances_and_methods_and_lists_faulty_files(
    study, context, utterances, tiny_detector, tmp_path
):
    (tmp_path / "empty.flac").touch()
    broken = utterances.assign(path=[str(tmp_path / "empty.flac"), *utterances["path"].iloc[1:]])
    specs = ["random", "ig(selection=free)"]  # CA-MHFA selects no nodes
    table, left_out = measure(study, tiny_detector(), context, broken, 0.0, specs, rows_of)
    assert left_out["utterance"].tolist() == utterances["utterance"].tolist()[:1]
    assert set(table["method"]) == {"random"}
    assert table["utterance"].tolist() == utterances["utterance"].tolist()[1:]
    assert {*module.DESCRIPTION, "direction", "space", "replacement", "at"} <= set(table)
    with pytest.raises(DataError, match="none of 1 utterances"):
        measure(study, tiny_detector(), context, broken.head(1), 0.0, None, rows_of)
