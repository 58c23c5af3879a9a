"""The page on whether explanations are true, on tables whose numbers are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sslig.corpora.planting import PlantedError
from sslig.frames import SSL_CLOCK
from sslig.report import (
    validation,
    validation_cells,
    validation_costs,
    validation_failures,
    validation_localisation,
    validation_text,
)
from sslig.report.validation import Planted
from sslig.report.validation_choice import choices
from sslig.validation import transplant
from sslig.validation.localisation import LocalisationError
from sslig.validation.planted_maps import Map, PlantedMaps

N = 12
SKILLS = {"ig": 0.3, "occlusion": 0.1, "random": 0.0, "energy": 0.2, "feature_change": 0.45}
"""How far the ROC-AUC of each map lies above chance, in every utterance; noise is spread evenly around 0."""
PROMISE = {"residual": 0.001, "relative_residual": 0.002, "uncertainty": 0.001, "status": "complete"}
TRANSPLANTED = {"own_score": 1.0, "twin_score": -1.0, "place_restored_score": -0.8, "rest_restored_score": 0.9}
SILENT = {"residual": np.nan, "relative_residual": np.nan, "uncertainty": np.nan, "status": "not promised"}


@pytest.fixture
def study(tmp_path, write_experiment):
    values = {"planted": ["band", "splice"], "rounds": 50}
    return write_experiment(tmp_path, validation=values, evaluation={"rounds": 20, "resample_recordings": True})


def rows(kind, detector, skills, n=N):
    """Of one kind and detector: each map in `n` utterances, with small differences that are the same for all maps."""
    found = []
    for number, (method, skill) in ((number, one) for number in range(n) for one in skills.items()):
        plain = method in ("energy", "voice_activity", "feature_change", "score_change")
        wobble = 0.04 * (number % 2 - 0.5) if method == "random" else 0.01 * np.cos(number)
        told = PROMISE if method.startswith("ig") else SILENT
        told = dict.fromkeys(told, np.nan) | {"status": ""} if plain else told
        told |= TRANSPLANTED if plain else transplant.NONE
        for aggregation in ["plain"] if plain else ["signed", "absolute", "l2"]:
            for statistic, chance in (("roc_auc", 0.5), ("relevance_mass", 0.2)):
                found.append({
                    "utterance": f"E_{number:03d}", "speaker": f"S{number % 3}", "recording": f"R{number}",
                    "score": 1.0, "threshold": 0.5, "place_share": 0.25, "method": method, "aggregation": aggregation,
                    "statistic": statistic, "value": chance + skill + wobble, "control": chance, "control_low": 0.3,
                    "control_high": 0.7, "beaten": 0.9, "draws": 100, "spoof_score": 1.0, "baseline_score": -1.0,
                    "steps": 32.0, "seconds": np.nan if plain else 0.1 * len(method), "peak_mib": 5.0,
                    "kind": kind, "detector": detector, "seed": 0,
                } | told)  # fmt: skip
    return pd.DataFrame(found)


def planted_of(skills=None, eers=None, elsewhere=None):
    """Planted cues by (kind, detector): skills of the maps, EER, and what the rest carries where that is more."""
    elsewhere = elsewhere or {}
    skills = skills or {(kind, name): SKILLS for kind in ("band", "splice") for name in ("camhfa", "sls")}
    eers = eers or {}
    about = [
        {"kind": kind, "detector": name, "eer": eers.get((kind, name), 0.05), "low": 0.02, "high": 0.1,
         "learnt": eers.get((kind, name), 0.05) <= validation.LEARNT_EER, "explained": N, "place_share": 0.25,
         "place_carries": 0.9, "rest_carries": elsewhere.get((kind, name), 0.1), "reason": "",
         "decided": eers.get((kind, name), 0.05) <= validation.LEARNT_EER and (kind, name) not in elsewhere}
        for kind, name in skills
    ]  # fmt: skip
    return Planted(
        pd.concat([rows(*pair, held) for pair, held in skills.items()], ignore_index=True), pd.DataFrame(about)
    )


NOTHING = Planted(pd.DataFrame(), pd.DataFrame(columns=validation.ABOUT))


def faithful_rows(**supported):
    """What `sslig.report.validation_text.answer` reads: whether each curve of IG beats its control."""
    return pd.DataFrame([
        {"detector": name, "method": "ig", "aggregation": "signed", "space": "features", "replacement": "bonafide_mean",
         "statistic": f"{curve}_area", "supported": held}
        for name in ("camhfa", "sls") for curve, held in supported.items()
    ])  # fmt: skip


def test_the_summary_puts_explanations_first_and_the_limit_last(study):
    found = validation_localisation.summary(study, planted_of())
    assert list(dict.fromkeys(found["method"])) == ["ig", "occlusion", "random", "energy", "feature_change"]
    assert list(dict.fromkeys(found["group"])) == list(validation_localisation.GROUPS)
    assert found["learnt"].all()


def test_a_cell_holds_value_control_mark_and_interval(study):
    found = validation_localisation.summary(study, planted_of())
    table = validation_localisation.measure_table(found, "sls")
    maps = ["ig", "occlusion", "random", "energy", "feature_change"]
    assert table["method"].tolist() == ["band", *maps, "splice", *maps]
    assert table.at[0, "ROC-AUC"] == ""
    assert table.at[1, "ROC-AUC"].split("\n")[0] == "0.80 (0.50) ●"
    assert table.at[3, "ROC-AUC"].split("\n") == ["0.50 (0.50)", "[0.49, 0.51]"]


def test_what_is_worse_than_its_control_has_a_mark_of_its_own():
    row = {"statistic": "roc_auc", "value": -1e-9, "control": 0.5, "value_low": 0.0, "value_high": 0.1}
    assert validation_cells.cell(row | {"advantage_low": -0.5, "advantage_high": -0.4}) == (
        "0.00 (0.50) ○\n[0.00, 0.10]"
    )
    assert validation_cells.cell(row | {"value": np.nan}) == ""


def test_a_kind_that_is_not_learnt_says_so(study):
    eers = {("band", "sls"): 0.4}
    planted = planted_of(eers=eers)
    table = validation.learnt_table(planted.about).set_index("kind")
    assert "12 explained, not learnt\n" in table.at["band", "sls"]
    assert "not" not in table.at["band", "camhfa"]
    assert validation.kind_note(planted.about).startswith("3 of 4 pairs")
    found = validation_localisation.summary(study, planted)
    assert validation_localisation.measure_table(found, "sls").at[0, "method"] == "band (not learnt)"
    assert set(planted.decided.loc[planted.decided["detector"] == "sls", "kind"]) == {"splice"}


def test_a_kind_that_is_decided_elsewhere_counts_for_nothing_and_says_so(study):
    planted = planted_of(elsewhere={("band", "sls"): 0.95})
    table = validation.learnt_table(planted.about).set_index("kind")
    assert table.at["band", "sls"].endswith("12 explained\nplace 90 %, rest 95 %")
    assert "rests on the place in 3 of the 4 learnt ones: there it carries at least 50 %" in validation.kind_note(
        planted.about
    )
    found = validation_localisation.summary(study, planted)
    assert validation_localisation.measure_table(found, "sls").at[0, "method"] == "band (not decided at the place)"
    assert set(planted.decided.loc[planted.decided["detector"] == "sls", "kind"]) == {"splice"}
    assert "an explanation comes first in 1 of 1 kinds" in validation_localisation.rival_note(found).split("sls")[1]
    planted = planted_of({("band", "sls"): SKILLS | {"ig": -0.2}}, elsewhere={("band", "sls"): 0.95})
    failed = validation_failures.failures(study, planted, validation_localisation.summary(study, planted))
    assert "not decided at the place, which carries 90 % of the decision, the rest 95 %" in failed["why"][0][0]


def test_the_table_of_kinds_tells_the_severity_of_the_study(study):
    stronger = dataclasses.replace(study, validation=dataclasses.replace(study.validation, severity={"band": 9.0}))
    table = validation.kind_table(stronger, planted_of().about).set_index("kind")
    assert table.at["band", "severity"].startswith("9 dB")
    assert table.at["splice", "time (%)"] == "25"


def test_the_start_of_training_is_told(study):
    assert "from the backbone and a random head" in validation.start_note(study)
    further = dataclasses.replace(study, validation=dataclasses.replace(study.validation, start="study"))
    assert "from where the training of the study left it" in validation.start_note(further)


def scores(study, detectors, seeds):
    """Of eight twins: the spoofs score higher."""
    parts = [
        pd.DataFrame({
            "utterance": [f"E_{key}{n}" for n in range(8)], "key": key, "spoof_score": value + np.arange(8) / 100,
            "speaker": [f"S{n % 2}" for n in range(8)], "recording": [f"R{n}" for n in range(8)],
            "detector": detectors[0], "seed": seeds[0],
        })
        for key, value in (("bonafide", 0.0), ("spoof", 1.0))
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_what_cannot_be_explained_is_told_and_no_end(study, monkeypatch):
    def localised(study, detector, seed, kind, methods):
        if detector == "sls":
            raise LocalisationError("none of 8 spoofs is detected")
        return rows(kind, detector, SKILLS)

    def planted(study, kind):
        if kind == "splice":
            raise PlantedError("no room")
        return study

    monkeypatch.setattr("sslig.report.validation.stages.localised", localised)
    monkeypatch.setattr("sslig.report.validation.stages.planted", planted)
    monkeypatch.setattr("sslig.report.validation.evaluation.scores_of", scores)
    found = validation.planted_of(study, ["camhfa", "sls"], 0, ["band", "splice"])
    about = found.about.set_index(["kind", "detector"])
    assert about["explained"].tolist() == [N, 0, 0, 0]
    assert about.at[("band", "sls"), "eer"] == 0
    assert about.loc[("band", "camhfa"), ["place_carries", "rest_carries"]].tolist() == pytest.approx([0.9, 0.05])
    assert about["decided"].tolist() == [True, False, False, False]
    assert about.loc["splice", "reason"].tolist() == ["no room", "no room"]
    assert set(found.table["detector"]) == {"camhfa"}
    note = validation.kind_note(found.about)
    assert "sls on `band` has nothing to explain: none of 8 spoofs is detected." in note
    assert validation.learnt_table(found.about).set_index("kind").at["splice", "sls"] == "not planted"


def test_nothing_planted_is_said_and_breaks_nothing(study):
    assert "plants no cues" in validation.kind_note(NOTHING.about)
    found = validation_localisation.summary(study, NOTHING)
    assert validation_localisation.rival_note(found).startswith("No detector decides a kind at its place")
    assert validation_localisation.typical(NOTHING, "ig") is None
    assert validation_localisation.example_note(None, "ig") == validation.NOTHING
    assert validation_failures.worst_note(validation_failures.worst(NOTHING, "ig"), "ig") == validation.NOTHING
    failed = validation_failures.failures(study, NOTHING, found)
    assert failed.empty
    assert validation_failures.failure_table(failed, found).empty
    assert "No kind is decided at its place" in validation_failures.failure_note(failed, found, "ig")
    assert validation_costs.cost_note(NOTHING) == validation_localisation.aggregation_note(study, NOTHING) == ""
    assert validation_costs.method_table(NOTHING).empty
    assert "both selections are not compared" in validation_costs.selection_note(study, NOTHING)
    assert validation.shown_method(study, NOTHING) == "ig"
    said = validation_text.answer(NOTHING, found, faithful_rows(deletion=True), choices(study, NOTHING), "ig")
    assert said.startswith("**Answer.** No cues are planted")
    assert "**sls**: taking away what `ig` names moves its score more than the control does." in said
    assert said.endswith("The evidence names no default method.")


def test_the_answer_tells_places_curves_and_default_of_each_detector(study):
    planted = planted_of(eers={("band", "sls"): 0.4, ("splice", "sls"): 0.3})
    found = validation_localisation.summary(study, planted)
    said = validation_text.answer(
        planted, found, faithful_rows(deletion=True, insertion=False), choices(study, planted), "ig"
    )
    assert (
        "2 of 4 pairs of detector and planted kind of cue are learnt, 2 of them decided at the place of "
        "the cue: there maps can be tested." in said
    )
    assert (
        "**camhfa**: maps by `ig` point at the place beyond chance in 2 of 2 kinds (mean ROC-AUC 0.80); the "
        "best method is `ig` (0.80) and the best plain map `energy` (0.70); taking away what `ig` names moves its "
        "score more than the control does, bringing back it not beyond doubt."
    ) in said
    assert "**sls**: it has learnt none of the kinds; taking away" in said
    assert said.endswith("The default that the table names is `ig`.")


def test_a_score_that_follows_no_curve_is_told(study):
    planted = planted_of()
    found = validation_localisation.summary(study, planted)
    neither = faithful_rows(deletion=False, insertion=False)
    said = validation_text.answer(planted, found, neither, choices(study, planted), "ig")
    assert "neither taking away nor bringing back what `ig` names moves its score more" in said


def test_aggregations_are_compared_on_the_same_utterances(study):
    planted = planted_of()
    weaker = planted.table["aggregation"] == "absolute"
    changed = planted.table.assign(value=planted.table["value"] - 0.2 * weaker)
    table = validation_localisation.aggregation_table(study, Planted(changed, planted.about)).set_index("method")
    assert table.at["ig", "signed"] == "0.80"
    assert table.at["ig", "absolute"] == "0.60\n-0.20 [-0.20, -0.20]"
    note = validation_localisation.aggregation_note(study, Planted(changed, planted.about))
    assert note.startswith(
        "`absolute` finds the places better than the signed sum with 0 of 2 methods and worse with 2"
    )


def test_a_plain_map_that_comes_first_is_named(study):
    skills = {("band", "camhfa"): SKILLS | {"energy": 0.4}, ("splice", "camhfa"): SKILLS}
    note = validation_localisation.rival_note(validation_localisation.summary(study, planted_of(skills)))
    assert note.startswith(
        "camhfa: an explanation comes first in 1 of 2 kinds, a plain map otherwise (`energy` on `band`)."
    )
    assert "limit `feature_change` lies at 0.95" in note


def test_maps_that_follow_what_the_place_carries_are_told(study):
    kinds = [(kind, name) for kind in ("band", "splice", "boundary") for name in ("camhfa", "sls")]
    skills = {
        pair: SKILLS | {"ig": 0.05 * place, "score_change": 0.05 * place + 0.1} for place, pair in enumerate(kinds)
    }
    planted = planted_of(skills, elsewhere={pair: 1 - 0.1 * place for place, pair in enumerate(kinds)})
    found = validation_localisation.summary(study, planted)
    note = validation_localisation.carried_note(planted, found, "ig")
    assert "Over the 6 pairs" in note
    assert "a rank correlation of 1.00 with how much more the place carries" in note
    assert "lies 0.10 from that of `score_change` on average" in note
    assert validation_localisation.carried_note(planted, found, "occlusion(width=9)") == ""
    few = planted_of()
    assert validation_localisation.carried_note(few, validation_localisation.summary(study, few), "ig") == ""


def test_the_typical_example_is_the_median_of_a_learnt_kind(study):
    planted = planted_of(eers={("band", "camhfa"): 0.4, ("band", "sls"): 0.4})
    chosen = validation_localisation.typical(planted, "ig")
    assert chosen["kind"] == "splice"
    values = np.sort(0.8 + 0.01 * np.cos(np.arange(N)))
    assert chosen["mean"] == pytest.approx(values[(N - 1) // 2])
    assert "over 2 detectors" in validation_localisation.example_note(chosen, "ig")


def test_failures_are_those_not_beyond_chance_or_the_best_plain_map(study):
    skills = {("band", "camhfa"): SKILLS | {"occlusion": 0.0, "feature_change": 0.1}, ("splice", "camhfa"): SKILLS}
    found = validation_localisation.summary(study, planted_of(skills))
    # The tiny wobble of occlusion is all on one side of chance, so it is set to stand on both.
    found.loc[(found["method"] == "occlusion") & (found["kind"] == "band"), ["supported", "advantage_low"]] = [
        False,
        -1,
    ]
    failed = validation_failures.failures(study, planted_of(skills), found).set_index(["kind", "method"])
    assert list(failed.index) == [("band", "occlusion"), ("splice", "occlusion")]
    assert failed["at_chance"].tolist() == [True, False]
    assert failed["rival"].tolist() == ["energy", "energy"]
    (reason,) = [why for why in failed.at[("band", "occlusion"), "why"] if "outside its place" in why]
    assert "limit 0.60" in reason
    table = validation_failures.failure_table(failed.reset_index(), found)
    assert table["not beyond the best plain map"].tolist() == ["energy: occlusion", "energy: occlusion"]
    note = validation_failures.failure_note(failed.reset_index(), found, "ig")
    assert note.startswith("In kinds that are decided at their place 1 of 4 combinations")
    assert "and 2 are not beyond the best plain map; of `ig` alone 0 and 0 of 2." in note


def test_many_methods_that_fail_are_told_by_the_few_that_do_not(study):
    flat = SKILLS | {"ig": 0.3, "occlusion": 0.1, "gradient_x_input": 0.1, "energy": 0.2}
    planted = planted_of({("splice", "camhfa"): flat})
    found = validation_localisation.summary(study, planted)
    table = validation_failures.failure_table(validation_failures.failures(study, planted, found), found)
    assert table["not beyond the best plain map"].tolist() == ["energy: all 3 but ig"]


def test_evidence_of_the_other_sign_in_the_place_is_told(study):
    planted = planted_of({("splice", "camhfa"): SKILLS | {"energy": 0.4}})
    unsigned = planted.table["aggregation"] == "absolute"
    changed = Planted(planted.table.assign(value=planted.table["value"] + 0.1 * unsigned), planted.about)
    failed = validation_failures.failures(study, changed, validation_localisation.summary(study, changed))
    assert failed.set_index("method").at["ig", "why"][0].startswith("unsigned it does better")
    unchanged = validation_failures.failures(study, planted, validation_localisation.summary(study, planted))
    assert unchanged.set_index("method").at["ig", "why"] == ["unexplained by what is measured here"]


def test_noise_that_beats_chance_is_told_as_luck(study):
    lucky = {("band", "camhfa"): SKILLS | {"random": 0.1}}
    planted = planted_of(lucky)
    found = validation_localisation.summary(study, planted)
    note = validation_failures.failure_note(validation_failures.failures(study, planted, found), found, "ig")
    assert "Noise is beyond chance 1 times, which is luck" in note


def test_the_worst_utterance_is_described(study):
    planted = planted_of()
    row = validation_failures.worst(planted, "ig")
    assert row["value"] == planted.table.query("method == 'ig' and statistic == 'roc_auc'")["value"].min()
    note = validation_failures.worst_note(row, "ig")
    assert "The place is 25 % of what is read" in note
    assert note.endswith("The explanation adds up (off by 0.20 %).")
    assert validation_failures.worst_note(pd.Series({**row, "status": "jump"}), "ig").endswith(
        "The explanation is jump."
    )


def test_costs_tell_promises_kept_and_broken(study):
    planted = planted_of()
    broken = planted.table["utterance"] == "E_000"
    changed = planted.table.assign(
        status=planted.table["status"].mask(broken & (planted.table["method"] == "ig"), "jump")
    )
    table = validation_costs.cost_table(Planted(changed, planted.about)).set_index("method")
    assert table["complete"].tolist() == ["22", "", "", "22", "", ""]
    assert table["detector"].tolist() == ["camhfa", "", "", "sls", "", ""]
    note = validation_costs.cost_note(Planted(changed, planted.about))
    assert note.startswith("`ig` does not add up in 4 of 48 utterances. The dearest, `occlusion`, takes 0.90 s")
    assert validation_costs.cost_note(planted).startswith("`ig` adds up in every utterance.")


def test_selections_are_compared_where_both_were_measured(study):
    skills = SKILLS | {"ig(selection=free)": 0.2}
    note = validation_costs.selection_note(study, planted_of({("band", "aasist"): skills}))
    assert note.startswith("aasist: with the selection of nodes frozen 12 of 12 explanations are complete")
    assert "differs by -0.100 [-0.100, -0.100]" in note


def test_methods_that_are_not_offered_are_named_with_the_reason(study, tiny_detector, monkeypatch):
    monkeypatch.setattr("sslig.report.validation_costs.stages.checkpoint", lambda study, name, seed: name)
    monkeypatch.setattr("sslig.report.validation_costs.Detector.from_pretrained", tiny_detector)
    note = validation_costs.absent_note(study, ["camhfa"], 0, ["ig", "ig(selection=free)"])
    first, second = note.splitlines()
    assert first.startswith("- `ig(selection=free)` is not offered for camhfa: this head selects no nodes")
    assert second.startswith("- `deeplift` is not offered for camhfa: captum's rescale rule")


@pytest.mark.parametrize(
    ("attribution", "method"),
    [({}, "ig"), ({"baseline": "zero"}, "ig(baseline=zero)"), ({"freeze_selection": False}, "ig(selection=free)")],
)
def test_the_present_default_is_what_the_study_explains_by(study, attribution, method):
    changed = dataclasses.replace(study, attribution=dataclasses.replace(study.attribution, **attribution))
    assert validation.present_default(changed) == method


def test_few_speakers_are_said_to_speak_for_themselves(study):
    note = validation_text.interval_note(study, planted_of())
    assert "50 bootstrap rounds over speakers and, within each, recordings" in note
    assert "With 3 speakers they speak for other recordings of these speakers" in note


def test_values_of_a_column_become_headings():
    table = pd.DataFrame(
        {"kind": ["band", "band", "splice"], "method": ["ig", "random", "ig"], "mass": ["1", "2", "3"]}
    )
    found = validation_cells.headed(table, "kind")
    assert found["method"].tolist() == ["band", "ig", "random", "splice", "ig"]
    assert found["mass"].tolist() == ["", "1", "2", "", "3"]
    assert validation_cells.tall(found).to_html().count("font-weight: bold") == 1  # one rule for all headings
    assert validation_cells.once(table, "kind")["kind"].tolist() == ["band", "", "splice"]


def test_the_maps_of_an_example_are_those_of_the_detectors_that_explain_it(study, monkeypatch):
    signed, unsigned = np.zeros(20), np.ones(20)
    made = PlantedMaps(
        [Map("ig", "absolute", unsigned), Map("ig", "signed", signed)],
        signed > 0,
        10,
        SSL_CLOCK,
        np.zeros(6_480),
        transplant.NONE,
    )
    monkeypatch.setattr("sslig.report.validation_localisation.stages.localised_maps", lambda *asked: made)
    truth = pd.DataFrame({"utterance": ["E_000", "E_001"], "start_s": [0.1, 0.2], "end_s": [0.3, 0.4]})
    monkeypatch.setattr("sslig.report.validation_localisation.stages.planted_truth", lambda study, kind: truth)
    planted, chosen = planted_of(), pd.Series({"kind": "band", "utterance": "E_001"})
    maps = validation_localisation.maps_of(study, planted, chosen, 0, ["ig"])
    assert list(maps) == ["camhfa", "sls"]
    assert list(validation_localisation.maps_of(study, planted, chosen, 0, ["ig"], ["sls"])) == ["sls"]
    waveform, drawn = validation_localisation.drawn(maps)
    assert (len(waveform), drawn["sls"] is signed) == (6_480, True)
    assert validation_localisation.read_s(maps)["sls"] == pytest.approx(0.0125 + 10 * 0.02 - 0.01)
    assert validation_localisation.clock_of(maps) is SSL_CLOCK
    assert validation_localisation.places_s(study, chosen) == [(0.2, 0.4)]
    ((label, (sound,)),) = validation_localisation.sounds(maps, chosen).items()
    assert (label, sound[:4]) == ("E_001 (band)", b"fLaC")
