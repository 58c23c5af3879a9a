"""The rule that names a default method: best, promise kept, ties to the cheaper, and silent where no place decides."""

import pandas as pd
import pytest
from test_report_validation import SKILLS, planted_of

from sslig.report.validation import Planted
from sslig.report.validation_choice import ALL, choice_table, choices, choose, recommendation
from sslig.report.validation_paired import paired


@pytest.fixture
def study(tmp_path, write_experiment):
    return write_experiment(tmp_path, validation={"rounds": 50}, evaluation={"resample_recordings": True})


def of(skills, detectors=("camhfa",)):
    return planted_of({("band", name): skills for name in detectors})


def test_a_paired_difference_has_no_spread_where_utterances_differ_alike(study):
    table = of({"ig": 0.3, "occlusion": 0.1}).table
    rows = table[(table["statistic"] == "roc_auc") & (table["aggregation"] == "signed")]
    found = paired(study, rows, "method", "ig").set_index("method")
    assert found.at["occlusion", "difference"] == pytest.approx(-0.2)
    assert found.at["occlusion", "difference_low"] == pytest.approx(-0.2)
    assert found.at["ig", "difference_high"] == 0
    assert found["n"].tolist() == [12, 12]
    with pytest.raises(ValueError, match="no rows of 'deeplift'; there are ig, occlusion"):
        paired(study, rows, "method", "deeplift")


def test_cells_count_alike_however_many_utterances_they_have(study):
    table = planted_of({("band", "camhfa"): {"ig": 0.4}, ("splice", "camhfa"): {"ig": 0.0}}).table
    rows = table[(table["statistic"] == "roc_auc") & (table["aggregation"] == "signed")]
    few = rows[(rows["kind"] == "band") | (rows["utterance"] < "E_003")]
    wobble = few.groupby("kind")["value"].mean() - pd.Series({"band": 0.9, "splice": 0.5})
    assert paired(study, few, "method", "ig").at[0, "value"] == pytest.approx(0.7 + wobble.mean())


def test_the_best_is_chosen_where_it_is_better_beyond_doubt(study):
    (one,) = choices(study, of(SKILLS | {"ig(baseline=zero)": 0.35}))
    assert (one.scope, one.chosen, one.present) == (ALL, "ig(baseline=zero)", "ig")
    assert one.against_present["difference"] == pytest.approx(0.05)
    assert "the best beyond doubt. Against the present default `ig` it differs by +0.050 [+0.050, +0.050]: better." in (
        recommendation([one])
    )
    assert choice_table(one)["rule"].tolist() == ["default", "behind", "out"]


def test_ties_go_to_the_cheaper(study):
    (one,) = choices(study, of(SKILLS | {"ig(baseline=zero)": 0.3}))
    assert one.chosen == "ig"
    assert one.candidates.set_index("method")["tied"].to_dict() == {
        "ig": True, "ig(baseline=zero)": True, "occlusion": False,
    }  # fmt: skip
    said = recommendation([one])
    assert "which the evidence does not separate from `ig(baseline=zero)`. It is the present default." in said


def test_a_method_that_promises_nothing_has_to_be_better_beyond_doubt(study):
    (alike,) = choices(study, of(SKILLS | {"occlusion": 0.3}))
    assert alike.chosen == "ig"
    (better,) = choices(study, of(SKILLS | {"occlusion": 0.4}))
    assert better.chosen == "occlusion"
    assert choice_table(better)["promise"].tolist() == ["nothing promised", "100 % complete"]
    assert better.candidates["difference"].tolist() == pytest.approx([0, -0.1])


def test_a_method_that_breaks_its_promise_is_out(study):
    planted = of(SKILLS | {"ig(baseline=zero)": 0.4})
    broken = (planted.table["method"] == "ig(baseline=zero)") & (planted.table["utterance"] == "E_000")
    changed = planted.table.assign(status=planted.table["status"].mask(broken, "not converged"))
    (one,) = choices(study, Planted(changed, planted.about))
    assert one.chosen == "ig"
    every = planted.table.assign(status=planted.table["status"].replace("complete", "jump"))
    (none,) = choices(study, Planted(every, planted.about))
    assert none.chosen is None
    assert "no method keeps its promise to add up often enough" in recommendation([none])


def test_nothing_is_chosen_where_none_beats_chance(study):
    (one,) = choices(study, of({"ig": -0.1, "random": 0.0}))
    assert one.chosen is None
    assert "no method that is admitted finds the places better than chance" in recommendation([one])


def test_nothing_is_chosen_where_nothing_is_learnt(study):
    planted = planted_of({("band", "camhfa"): SKILLS}, {("band", "camhfa"): 0.4})
    (one,) = choices(study, planted)
    assert (one.chosen, len(one.candidates)) == (None, 0)
    assert "no kind is decided at its place, so this study names no default; `ig`" in recommendation([one])
    assert choice_table(one).empty


def test_each_detector_has_a_choice_of_its_own_and_all_share_what_explains_all(study):
    skills = {("band", "camhfa"): SKILLS, ("band", "aasist"): SKILLS | {"ig(selection=free)": 0.4}}
    found = {one.scope: one.chosen for one in choices(study, planted_of(skills))}
    assert found == {ALL: "ig", "camhfa": "ig", "aasist": "ig(selection=free)"}


def test_what_did_not_learn_is_not_spoken_for(study):
    skills = {("band", "camhfa"): SKILLS, ("band", "sls"): SKILLS}
    (one,) = choices(study, planted_of(skills, {("band", "sls"): 0.4}))
    assert one.scope == "all detectors that decide a kind at its place (camhfa)"


def test_one_unit_to_resample_separates_nothing(study):
    planted = of(SKILLS | {"ig(baseline=zero)": 0.4})
    single = planted.decided[planted.decided["utterance"] == "E_000"]
    one = choose(study, single)
    assert one.chosen is None
    assert one.candidates.loc[one.candidates["admitted"], "tied"].all()
