"""Tiny detectors in front of an utterance with a place: which maps are held against it, and that they are its own."""

import numpy as np
import pandas as pd
import pytest
import torch

from sslig import scoring
from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context
from sslig.attribution.methods import parse
from sslig.attribution.target import view
from sslig.corpora.planted import WHOLE_HZ, truth_mask
from sslig.models.detector import Detector
from sslig.validation import places as module
from sslig.validation import transplants
from sslig.validation.places import localisation_rows
from sslig.validation.presented import present

MEANS = {name: Baseline(name, torch.zeros(3, 16), {}, torch.zeros(1, 8)) for name in ("bonafide_mean", "nonspeech")}


@pytest.fixture
def study(experiment):
    return experiment


@pytest.fixture
def presented(study, utterances, tiny_detector):
    """The last utterance, of 29 frames, in front of a detector."""

    def make(head="camhfa", **values):
        context = Context(MEANS, options=study.attribution)
        return next(present(study, tiny_detector(head, **values), context, utterances.tail(1), -100.0)[0])[1]

    return make


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
            assert frames.sum() == pytest.approx(change, rel=0.05)


def test_the_twin_is_put_into_the_place_in_every_space(presented, truth):
    item = presented("sls")
    twin = planted(item, truth)
    rows = pd.DataFrame(module.transplant_rows(item, truth, twin, WHOLE_HZ)).set_index("space")
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
            rows = pd.DataFrame(module.transplant_rows(item, truth, twin, WHOLE_HZ)).set_index("space")
            assert (rows["twin_score"] < rows["spoof_score"]).all()
            change = rows["spoof_score"] - rows["twin_score"]
            carried = (rows["spoof_score"] - rows["place_restored_score"]) / change
            assert carried[["waveform", "recording"]].to_numpy() == pytest.approx(1, abs=0.1)


def test_a_band_is_transplanted_at_all_times(presented, truth):
    """The twin has a tone of 3 kHz more: with its band from 2 to 4 kHz the utterance is the twin, else itself."""
    item = presented("sls")
    time_s = torch.arange(item.waveform.shape[1]) / 16_000
    twin = item.waveform + 0.1 * torch.sin(2 * np.pi * 3_000 * time_s)
    rows = pd.DataFrame(module.transplant_rows(item, truth, twin, (2_000, 4_000))).set_index("space")
    row = rows.loc["band"]
    assert row["spoof_score"] == pytest.approx(item.spoof_score, abs=1e-4)
    assert row["place_restored_score"] == pytest.approx(row["twin_score"], abs=0.01)
    assert row["rest_restored_score"] == pytest.approx(row["spoof_score"], abs=0.01)


def test_maps_in_time_and_frequency_are_held_against_the_cells_of_the_place(presented):
    item = presented("camhfa")
    places = pd.DataFrame([(0.2, 0.4, 2_000.0, 4_000.0)], columns=["start_s", "end_s", "low_hz", "high_hz"])
    table = pd.DataFrame(module.cell_rows(item, places, budget=64))
    assert set(table["method"]) == {"grid", "spectrogram_gradients", "energy"}
    assert set(table["aggregation"]) == {"cells"}
    rank = table[table["statistic"] == "relevance_rank"]
    assert rank["chance"].to_numpy() == pytest.approx(rank["place_share"].to_numpy())
    assert rank["place_share"].iloc[0] == pytest.approx(2 / 6 * 4 / 16, abs=0.03)  # of 6 times and 16 bands
    whole = places.assign(start_s=0.0, end_s=9.0, low_hz=0.0, high_hz=8_000.0)
    assert module.cell_rows(item, whole, budget=64) == []


def test_what_lies_in_a_cell_is_summed():
    """Bins of 31.25 Hz and frames of 8 ms: four bins by twelve and a half frames in a cell."""
    values = np.ones((257, 50))
    sums = module.pooled(values, np.array([0, 125, 250]), np.array([0, 0.1, 0.2]))
    assert sums.tolist() == [[4 * 13, 4 * 12 + 4], [5 * 13, 5 * 13]]
