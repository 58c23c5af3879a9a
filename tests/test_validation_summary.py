import numpy as np
import pandas as pd
import pytest

from sslig.validation.summary import (
    at_widths,
    beyond_plain,
    compared,
    costs,
    decisions,
    default_method,
    group,
    summarise,
    widths,
)
from sslig.validation.transplants import SCORES

OPTIONS = {"seed": 0, "rounds": 50, "recordings": True}

SKILLS = {"ig": 0.3, "occlusion": 0.1, "random": 0.0, "energy": 0.2, "feature_change": 0.45}
"""How far the ROC-AUC of each map lies above chance; noise is spread evenly around 0."""


@pytest.fixture
def measures(rng):
    """Two methods in 30 utterances of 10 speakers; the true one beats chance by 2."""
    rows = []
    for number in range(30):
        utterance = {
            "detector": "x",
            "utterance": f"u{number}",
            "speaker": f"s{number // 3}",
            "recording": f"u{number}",
        }
        utterance |= {"replacement": "interpolation", "at": "", "chance_low": -1.0, "chance_high": 1.0}
        true, random = 2 + rng.standard_normal(), rng.standard_normal()
        rows += [
            utterance | {"method": method, "statistic": statistic, "value": value, "chance": chance, "beaten": beaten}
            for method, statistic, value, chance, beaten in [
                ("true", "deletion_area_to_50", true, 0.0, 1.0),
                ("random", "deletion_area_to_50", random, 0.0, 0.5),
                ("true", "infidelity", 0.2, 0.9, 1.0),
            ]
        ]
    return pd.DataFrame(rows)


def found_by(skills, *cells, n=12, measure="skill"):
    """A table of localisation: the measure of each map by its skill, with differences that all maps share."""
    rows = []
    for kind, detector in cells:
        for number in range(n):
            utterance = {"kind": kind, "detector": detector, "seed": 0, "utterance": f"E_{number:03d}"}
            utterance |= {"speaker": f"S{number % 3}", "recording": f"R{number}", "place_share": 0.25}
            utterance |= {"set": "eval", "space": "recording", "smoothing_ms": 20.0}
            rows += [utterance | _map(method, skill, number, measure) for method, skill in skills.items()]
    return pd.DataFrame(rows)


def _map(method, skill, number, measure):
    plain, promises = group(method) in ("plain map", "limit"), method.startswith("ig")
    wobble = 0.04 * (number % 2 - 0.5) if method == "random" else 0.01 * np.cos(number)
    row = {"method": method, "aggregation": "plain" if plain else "signed", "statistic": measure}
    row |= {"value": 0.5 + skill + wobble, "chance": 0.5, "chance_low": 0.3, "chance_high": 0.7, "beaten": 0.9}
    row |= {"seconds": np.nan if plain else 0.1 * len(method), "peak_mib": 5.0, "steps": 32.0, "spoof_score": 1.0}
    row |= {"baseline_score": -1.0, "status": "" if plain else "complete" if promises else "not promised"}
    return row | dict.fromkeys(("residual", "relative_residual", "uncertainty"), 0.001 if promises else np.nan)


def test_means_stand_beside_chance_with_intervals(measures):
    table = summarise(measures, seed=0, rounds=200, recordings=False)
    assert table["method"].tolist() == ["true", "random", "true"]
    true, random, infidelity = table.to_dict("records")
    expected = measures["value"][measures["method"].eq("true") & measures["statistic"].eq("deletion_area_to_50")].mean()
    assert true["value"] == true["advantage"] == pytest.approx(expected)
    assert true["value_low"] < true["value"] < true["value_high"]
    assert (true["n"], true["beaten"], true["better"], true["chance_high"]) == (30, 1, 1, 1)
    assert true["supported"]
    assert random["advantage_low"] < 0 < random["advantage_high"]
    assert not random["supported"]
    assert (infidelity["advantage"], infidelity["better"]) == (pytest.approx(0.7), -1)  # lower is better


def test_an_undefined_value_does_not_count(measures):
    measures.loc[0, ["value", "chance", "beaten"]] = np.nan
    row = summarise(measures, **OPTIONS).iloc[0]
    assert row["n"] == 29
    assert row["value"] == pytest.approx(measures["value"][measures["method"].eq("true")][1::2].mean(), abs=3)
    assert np.isfinite(row["value_low"])


def test_recordings_are_drawn_only_on_request(measures):
    single = measures.assign(speaker="s")
    assert summarise(single, **OPTIONS)["value_low"].notna().all()
    assert summarise(single, **OPTIONS | {"recordings": False})["value_low"].isna().all()


def test_groups_are_summed_up_apart_in_their_order(measures):
    both = pd.concat([measures.assign(detector="y", value=measures["value"] + 5), measures])
    table = summarise(both, **OPTIONS)
    assert list(dict.fromkeys(table["detector"])) == ["y", "x"]
    values = table.set_index(["detector", "method", "statistic"])["value"]
    assert values["y", "random", "deletion_area_to_50"] == pytest.approx(
        values["x", "random", "deletion_area_to_50"] + 5
    )


def test_nothing_gives_a_table_without_rows(measures):
    assert summarise(measures.head(0), **OPTIONS).columns.tolist() == summarise(measures, **OPTIONS).columns.tolist()


def test_a_paired_difference_has_no_spread_where_utterances_differ_alike():
    table = compared(found_by({"ig": 0.3, "occlusion": 0.1}, ("band", "camhfa")), "method", "ig", **OPTIONS)
    ig, occlusion = table.to_dict("records")
    assert [occlusion[f"difference{end}"] for end in ("", "_low", "_high")] == pytest.approx([-0.2] * 3)
    assert ig["difference_high"] == 0
    assert (table["n"].tolist(), table["cells"].tolist()) == ([12, 12], [1, 1])


def test_cells_count_alike_however_many_utterances_they_have():
    many, few = found_by({"ig": 0.4}, ("band", "sls")), found_by({"ig": 0.0}, ("splice", "sls"), n=3)
    expected = (many["value"].mean() + few["value"].mean()) / 2
    assert compared(pd.concat([many, few]), "method", "ig", **OPTIONS).at[0, "value"] == pytest.approx(expected)


def test_an_option_is_compared_where_both_are_defined():
    table = found_by({"ig": 0.3, "energy": 0.2}, ("band", "sls"), ("splice", "sls"))
    lacking = (table["kind"] == "splice") & (table["method"] == "energy")
    row = compared(table[~lacking], "method", "ig", **OPTIONS).iloc[1]
    assert (row["n"], row["cells"], row["difference"]) == (12, 1, pytest.approx(-0.1))


def transplanted(place, rest, n=12):
    """A table of transplants of `n` utterances: what the place carries of a change by 1, and what the rest carries."""
    scores = dict(zip(SCORES, [1.0, 0.0, 1 - place, 1 - rest], strict=True))
    about = {"kind": "band", "detector": "sls", "space": "recording", "speaker": "S"}
    return pd.DataFrame([about | scores | {"utterance": f"E_{k}", "recording": f"R{k}"} for k in range(n)])


def decided(eer, scores):
    rates = pd.DataFrame({"kind": ["band"], "detector": ["sls"]} | dict(zip(("low", "eer", "high"), eer, strict=True)))
    return decisions(scores, rates, **OPTIONS).iloc[0]


@pytest.mark.parametrize(
    ("eer", "place", "rest", "gates"),
    [
        ((0.1, 0.15, 0.2), 0.9, 0.1, ("yes", "yes", "yes")),
        ((0.1, 0.15, 0.21), 0.9, 0.1, ("open", "yes", "open")),
        ((0.21, 0.25, 0.3), 0.9, 0.1, ("no", "yes", "no")),
        ((0.1, 0.15, 0.2), 0.4, 0.1, ("yes", "no", "no")),
        ((0.1, 0.15, 0.2), 0.6, 0.7, ("yes", "no", "no")),
        ((0.1, 0.15, 0.21), 0.6, 0.7, ("open", "no", "no")),
        ((0.1, 0.15, 0.2), 0.5, 0.5, ("yes", "yes", "yes")),
    ],
)
def test_a_kind_is_decided_at_its_place_where_it_is_learnt_and_the_place_carries_it(eer, place, rest, gates):
    row = decided(eer, transplanted(place, rest))
    assert (row["learnt"], row["rests_on_place"], row["decided"]) == gates
    assert (row["place"], row["rest"], row["n"]) == (pytest.approx(place), pytest.approx(rest), 12)


def test_a_gate_is_open_where_its_interval_crosses_the_limit():
    mixed = pd.concat([transplanted(0.0, 0.1, 6), transplanted(1.1, 0.1, 6).assign(recording=list("abcdef"))])
    row = decided((0.1, 0.1, 0.1), mixed)
    assert row["place_low"] < 0.5 < row["place_high"]
    assert (row["rests_on_place"], row["decided"]) == ("open", "open")


def test_a_kind_of_which_nothing_is_detected_is_not_decided():
    row = decided((0.1, 0.1, 0.1), transplanted(0.9, 0.1).assign(kind="splice"))
    assert (row["n"], row["decided"]) == (0, "no")
    assert np.isnan(row["place"])


def at_width(skills, width, name):
    return found_by(skills, ("band", "sls")).assign(smoothing_ms=width).assign(set=name)


def test_the_width_of_smoothing_is_chosen_on_dev_and_reported_on_eval():
    """On dev the first map is best at 60 ms and the second unsmoothed; on eval it is the other way round."""
    dev = [at_width({"ig": 0.2, "energy": 0.2}, 20.0, "dev"), at_width({"ig": 0.3, "energy": 0.1}, 60.0, "dev")]
    evaluated = [at_width({"ig": 0.4, "energy": 0.1}, 20.0, "eval"), at_width({"ig": 0.1, "energy": 0.4}, 60.0, "eval")]
    unsigned = evaluated[0].query("method == 'ig'").assign(aggregation="l2")
    table = pd.concat([*dev, *evaluated, unsigned], ignore_index=True)
    chosen = widths(table)
    assert chosen.to_dict() == {("ig", "recording"): 60.0, ("energy", "recording"): 20.0}
    rows = at_widths(table, chosen)
    assert set(rows["set"]) == {"eval"}
    reported = rows.groupby(["method", "aggregation"])["smoothing_ms"].unique().map(list).to_dict()
    assert reported == {("ig", "signed"): [60.0], ("ig", "l2"): [20.0], ("energy", "plain"): [20.0]}
    assert at_widths(table, chosen.head(0))["smoothing_ms"].unique().tolist() == [20.0]


def test_an_explanation_costs_once_however_many_measures_it_has():
    table = found_by(SKILLS, ("band", "sls"))
    rows = costs(pd.concat([table, table.assign(statistic="relevance_mass")])).set_index("method")
    assert rows.index.tolist() == ["ig", "occlusion", "random"]
    assert (rows.at["ig", "n"], rows.at["ig", "complete"], rows.at["occlusion", "not promised"]) == (12, 12, 12)
    assert rows.at["ig", "seconds_median"] == pytest.approx(0.2)


def chosen(table):
    candidates = default_method(table, **OPTIONS)
    return candidates.loc[candidates["chosen"], "method"].tolist()


def test_the_best_is_chosen_where_it_is_significantly_better():
    table = default_method(found_by(SKILLS | {"ig(baseline=zero)": 0.35}, ("band", "sls")), **OPTIONS)
    assert table["method"].tolist() == ["ig(baseline=zero)", "ig", "occlusion"]
    assert table["chosen"].tolist() == [True, False, False]
    assert table["tied"].tolist() == [True, False, False]
    assert table["admitted"].tolist() == [True, True, False]
    assert table["complete"].tolist() == pytest.approx([1, 1, np.nan], nan_ok=True)


def test_ties_go_to_the_faster():
    table = found_by(SKILLS | {"ig(baseline=zero)": 0.3}, ("band", "sls"))
    ranked = default_method(table, **OPTIONS).set_index("method")
    assert ranked["tied"].to_dict() == {"ig": True, "ig(baseline=zero)": True, "occlusion": False}
    assert chosen(table) == ["ig"]
    assert chosen(table.assign(seconds=table["seconds"].mask(table["method"] == "ig", 9.0))) == ["ig(baseline=zero)"]


@pytest.mark.parametrize(("skill", "best"), [(0.3, "ig"), (0.4, "occlusion")])
def test_a_method_that_promises_nothing_has_to_be_significantly_better(skill, best):
    assert chosen(found_by(SKILLS | {"occlusion": skill}, ("band", "sls"))) == [best]


def test_a_method_that_breaks_its_promise_is_not_admitted():
    table = found_by(SKILLS | {"ig(baseline=zero)": 0.4}, ("band", "sls"))
    broken = (table["method"] == "ig(baseline=zero)") & (table["utterance"] == "E_000")
    assert chosen(table.assign(status=table["status"].mask(broken, "not converged"))) == ["ig"]
    every = default_method(table.assign(status=table["status"].replace("complete", "jump")), **OPTIONS)
    assert not every[["admitted", "tied", "chosen"]].any(axis=None)


def test_nothing_is_chosen_where_none_beats_chance_or_nothing_was_measured():
    assert chosen(found_by({"ig": -0.1, "random": 0.0}, ("band", "sls"))) == []
    assert default_method(found_by({"energy": 0.2}, ("band", "sls")), **OPTIONS).empty


def test_only_methods_that_explain_every_detector_are_ranked():
    tables = [found_by(SKILLS, ("band", "sls")), found_by(SKILLS | {"ig(selection=free)": 0.4}, ("band", "aasist"))]
    assert chosen(pd.concat(tables)) == ["ig"]
    assert chosen(tables[1]) == ["ig(selection=free)"]


def test_a_single_unit_separates_nothing():
    table = found_by(SKILLS | {"ig(baseline=zero)": 0.4}, ("band", "sls"), n=1)
    candidates = default_method(table, **OPTIONS)
    assert not candidates["chosen"].any()
    assert candidates.loc[candidates["admitted"], "tied"].all()


def test_methods_are_held_against_the_best_plain_map():
    skills = SKILLS | {"voice_activity": 0.05}
    table = beyond_plain(found_by(skills, ("band", "sls"), ("band", "aasist"), measure="roc_auc"), **OPTIONS)
    assert set(table["plain_map"]) == {"energy"}
    assert table["detector"].tolist() == ["sls", "sls", "aasist", "aasist"]
    assert dict(zip(table["method"], table["difference_low"] > 0, strict=True)) == {"ig": True, "occlusion": False}


def test_every_map_has_a_group():
    names = ["ig(baseline=zero)", "random", "attention", "score_change"]
    assert [group(name) for name in names] == ["explanation", "noise", "plain map", "limit"]
