"""Tiny detectors in front of the tiny corpus: which tests are run on an utterance, and that they see its decision."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from sslig.attribution.baselines import Baseline
from sslig.attribution.context import Context, Draw, fitted
from sslig.attribution.methods import parse
from sslig.errors import DataError
from sslig.validation import presented as module
from sslig.validation.presented import faithfulness_rows, measure, present, sanity_rows
from sslig.validation.statistics import RANDOMISED

ROBUST = {"complexity_rise", "smooth_randomised", "shift_features", "shift_waveform", "max_sensitivity"}
MEANS = {name: Baseline(name, torch.zeros(3, 16), {}, torch.zeros(1, 8)) for name in ("bonafide_mean", "nonspeech")}


@pytest.fixture
def study(experiment):
    validation = experiment.validation.model_copy(update={"draws": 5})
    return experiment.model_copy(update={"validation": validation})


@pytest.fixture
def context(study):
    generator = torch.Generator().manual_seed(0)
    draws = [
        Draw(label, {"features": torch.randn(3, 20, 16, generator=generator), "recording": torch.zeros(1, 20, 8)})
        for label in (0, 0, 1, 1)
    ]
    return Context(MEANS, tuple(draws), options=study.attribution)


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
    areas = table[(table["statistic"].str.startswith("deletion_area")) & (table["aggregation"] == "signed")]
    assert areas[["space", "replacement"]].to_numpy().tolist() == [
        ["features", "neutral"],
        ["features", "bonafide_mean"],
        ["features", "nonspeech_mean"],
        ["features", "interpolation"],
        ["waveform", "interpolation"],
    ]
    assert set(table["aggregation"]) == {"signed", "absolute", "l2"}
    scores = item.spaces("bonafide_mean")["features", "bonafide_mean"]
    whole, nothing = scores(np.stack([np.zeros(29, dtype=bool), np.ones(29, dtype=bool)]))
    values = table[table["replacement"] == "bonafide_mean"].set_index("statistic")["value"]
    margin, sufficiency, insertion = values["margin"], values["sufficiency"], values["insertion"]
    assert margin == pytest.approx(item.direction * (whole - nothing), abs=1e-6)
    if margin > 0:
        assert sufficiency == pytest.approx(insertion.mean() - margin, abs=1e-6)
    else:  # the replacement speaks for the decision more than the recording does
        assert np.isnan([sufficiency, *insertion]).all()


def test_with_every_frame_replaced_by_neutral_ones_the_score_is_the_threshold(presented):
    """Between the scores of the real utterances of both classes, shares of the classes exist that give it."""
    item = presented()
    starts = torch.stack([fitted(draw.inputs["features"], 29) for draw in item.context.draws])
    with torch.inference_mode():
        scores = item.detector.head(starts)
    low, high = scores[:2].mean().item(), scores[2:].mean().item()
    if high < low:  # the detector is random: name the classes after its scores
        draws = tuple(dataclasses.replace(draw, label=1 - draw.label) for draw in item.context.draws)
        item = dataclasses.replace(item, context=dataclasses.replace(item.context, draws=draws))
    threshold = 0.7 * low + 0.3 * high
    item = dataclasses.replace(item, context=dataclasses.replace(item.context, threshold=threshold))
    whole, nothing = item.spaces("neutral")["features", "neutral"](np.array([[False] * 29, [True] * 29]))
    assert whole == pytest.approx(item.spoof_score, abs=1e-5)
    assert nothing == pytest.approx(threshold, abs=1e-5)


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
    assert values["random"]["randomised_cascading"].tolist() == pytest.approx([1] * 6)
    assert values["random"]["complexity_rise"] == 0
    assert values["ig"]["randomised_cascading"].min() < 0.99


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
