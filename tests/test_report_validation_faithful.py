"""Tables of faithfulness, sanity and cue profiles, made of summaries whose numbers are known."""

import itertools

import numpy as np
import pandas as pd
import pytest

from sslig.cues.cue_tally import MEANS
from sslig.report import validation_faithful as faithful
from sslig.report import validation_profile as profile
from sslig.validation.statistics import STATISTICS

DETECTORS, METHODS = ("camhfa", "sls"), ("ig", "random")


def row(detector, method, statistic, value, control=0.0, at="", **told):
    """One row of `sslig.validation.summary.summarise`; noise is never told from its control."""
    better = STATISTICS[statistic].better
    advantage, spread = better * (value - control), 0.01 if method == "ig" else 9.0
    return {
        "detector": detector, "method": method, "aggregation": "signed", "space": "", "replacement": "",
        "statistic": statistic, "at": at, "better": better, "n": 4, "value": value, "value_low": value - 0.1,
        "value_high": value + 0.1, "control": control, "control_low": control - 0.1, "control_high": control + 0.1,
        "advantage": advantage, "advantage_low": advantage - spread, "advantage_high": advantage + spread,
        "supported": advantage > spread,
    } | told  # fmt: skip


@pytest.fixture
def found():
    rows = []
    for detector, method in itertools.product(DETECTORS, METHODS):
        value = 0.5 if method == "ig" else 0.1
        for space, replacement in (("features", "bonafide_mean"), ("features", "interpolation"), ("waveform", "mean")):
            where = {"space": space, "replacement": replacement}
            rows += [row(detector, method, "comprehensiveness", value, **where)]
            if space == "features":
                rows += [row(detector, method, name, value, at=f"{at}", **where)
                         for name in ("deletion", "insertion") for at in (1, 10)]  # fmt: skip
                rows += [row(detector, method, f"{name}_area", value, **where) for name in ("deletion", "insertion")]
        rows += [row(detector, method, "loudness_share", 0.2, control=0.1)]
    return pd.DataFrame(rows)


@pytest.fixture
def sane():
    rows = []
    for detector, method in itertools.product(DETECTORS, METHODS):
        stays = 0.9 if (method, detector) != ("ig", "camhfa") else 0.1
        for number, name in ((1, "fc"), (2, "cmp … att")):
            at = f"{number} {name}"
            for kind in ("cascading", "independent"):
                rows.append(row(detector, method, f"randomised_{kind}", stays, control=0.2, at=at))
                rows.append(row(detector, method, f"randomised_head_{kind}", 0.3, control=0.2, at=at))
                rows.append(row(detector, method, f"randomised_excess_{kind}", stays - 0.3, at=at))
        rows += [row(detector, method, "shift_features", 0.7, at=f"{n} frames") for n in (1, 10)]
        rows.append(row(detector, method, "max_sensitivity", 0.05, control=1.0))
    rows += [row(name, "ig", "steps", 0.99, at="16 of 256") for name in DETECTORS]
    table = pd.DataFrame(rows)
    noise = (table["method"] == "random") & table["statistic"].str.contains("excess")
    return table.assign(advantage_high=table["advantage_high"].mask(noise, table["advantage"]))


def test_points_of_curves_are_those_of_one_replacement(found):
    points = faithful.curve_points(found)
    assert set(points["replacement"]) == {"bonafide_mean"}
    assert sorted(points["x"].unique()) == [1, 10]
    assert len(points) == 2 * 2 * 2 * 2


def test_the_note_on_curves_names_what_beats_its_control_on_both(found):
    assert faithful.curve_note(found) == (
        "Better than their controls on both curves, beyond doubt: camhfa: `ig` (1 of 2); sls: `ig` (1 of 2). Of noise "
        "that holds for 0 of 4 curves."
    )
    weaker = found.assign(supported=found["supported"] & (found["statistic"] != "insertion_area"))
    assert "camhfa: no method (0 of 2)" in faithful.curve_note(weaker)


def test_a_table_of_faithfulness_has_a_row_a_method(found):
    table = faithful.faithful_table(found, "sls").set_index("method")
    assert table.columns.tolist() == ["deletion", "insertion", "comprehen\u00adsive"]
    assert table.at["ig", "deletion"] == "0.50 (0.00) ●\n[0.40, 0.60]"
    assert table.at["random", "deletion"] == "0.10 (0.00)\n[0.00, 0.20]"


def test_replacements_stand_beside_each_other(found):
    table = faithful.replacement_table(found)
    assert table.columns.tolist() == ["method", "bonafide mean", "interpolation", "waveform"]
    assert table["method"].tolist() == ["camhfa", "ig", "random", "sls", "ig", "random"]


def test_heads_stand_beside_their_maps(sane):
    points = faithful.randomised_points(sane)
    head = points[points["method"] == faithful.THE_HEAD]
    assert len(head) == 2 * 2 * 2
    assert set(head["statistic"]) == set(faithful.RANDOMISED)
    assert head["value"].tolist() == [0.3] * 8
    assert points["x"].is_monotonic_increasing


def test_maps_that_stay_more_alike_than_the_head_are_named(sane):
    assert faithful.randomised_note(sane) == (
        "With every group shuffled these stay more alike than the head does, beyond doubt: `ig` of sls (by 0.60). So "
        "much of such a map does not come from what the head has learnt. Noise does for 2 of 2 detectors: it knows no "
        "parameters, and so the test can tell."
    )
    fine = sane[sane["detector"] == "camhfa"]
    assert faithful.randomised_note(fine).startswith("With every group shuffled no explanation stays more alike")


def test_groups_of_parameters_are_named(sane):
    table = faithful.group_table(sane).set_index("group")
    assert table["sls"].tolist() == ["fc", "cmp … att"]


def test_the_table_of_sanity_takes_the_farthest_shift_and_loudness(sane, found):
    table = faithful.sane_table(sane, found)
    assert table.columns.tolist() == ["method", "max-sensitivity", "shifted features", "loudness (%)"]
    assert table.at[1, "max-sensitivity"].startswith("0.05 (1.00) ●")
    assert table.at[1, "loudness (%)"].startswith("20 (10) ○")


def test_seeds_are_compared_where_there_are_several(sane):
    alike = faithful.alike(sane, pd.DataFrame())
    assert faithful.alike_table(alike)["maps compared"].tolist() == ["points 16 of 256"]
    assert faithful.alike_note(alike, [0]).startswith("There is one training seed")
    both = faithful.alike(sane, pd.DataFrame([row("sls", "ig", "seeds", 0.4, control=0.02, at="0 and 1")]))
    assert faithful.alike_table(both).set_index("maps compared").at["seeds 0 and 1", "camhfa"] == ""
    assert "agree least in sls (0.40, by chance 0.02)" in faithful.alike_note(both, [0, 1])


@pytest.fixture
def profiled():
    """Vowels have as much evidence as time, pauses thrice, and nasals none."""
    rows = []
    for detector in DETECTORS:
        rows += [(detector, name, "", 0.5, 0.4, 0.6) for name in MEANS]
        rows += [(detector, "time_share", name, share, 0.1, 0.9) for name, share in
                 (("pause", 0.2), ("vowel", 0.7), ("nasal", 0.1))]  # fmt: skip
        rows += [(detector, "relative", *one) for one in (
            ("pause", 3.0, 2.0, 4.0), ("vowel", 1.0, 0.8, 1.2), ("nasal", 0.0, 0.0, 0.0), ("tap", *[np.nan] * 3),
        )]  # fmt: skip
    columns = ["detector", "measure", "segment_class", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns).assign(n=12)


def test_classes_come_by_their_share_of_time_and_those_without_are_left_out(profiled):
    table = profile.class_table(profiled).set_index("class")
    assert table.index.tolist() == ["vowel", "pause", "nasal"]
    assert table.at["pause", "sls"] == "3.00 [2.00, 4.00] ●"
    assert table.at["vowel", "sls"] == "1.00 [0.80, 1.20]"
    assert table.at["nasal", "sls"] == "0.00 [0.00, 0.00]"
    assert table["time (%)"].tolist() == ["70.0", "20.0", "10.0"]


def test_the_profile_is_told_in_a_sentence(profiled):
    assert profile.profile_note(profiled) == (
        "More evidence than time, with an interval above 1 (times its share of time): camhfa: pause (3.0); sls: pause "
        "(3.0)."
    )


def test_locality_has_a_row_a_measure(profiled):
    table = profile.locality_table(profiled).set_index("of the explanations")
    assert table.at["their duration (ms)", "sls"] == "500 [400, 600]"
    assert table.at["Gini index", "camhfa"] == "0.50 [0.40, 0.60]"
    unsure = profile.locality_table(profiled.assign(low=np.nan, high=np.nan)).set_index("of the explanations")
    assert unsure.at["Gini index", "camhfa"] == "0.50"


def test_attacks_are_told_apart_where_there_are_several(profiled, monkeypatch):
    made = pd.concat([profiled.assign(attack="-"), profiled.assign(attack="A01")]).sort_values(
        "detector", kind="stable"
    )
    monkeypatch.setattr(profile, "profile_of", lambda study, detectors, seed, by: made)
    table = profile.group_table(None, DETECTORS, 0, "attack")
    assert table["attack"].tolist() == ["bona fide", "A01", "bona fide", "A01"]
    assert set(table["most over their share of time"]) == {"pause (3.0)"}
    monkeypatch.setattr(profile, "profile_of", lambda study, detectors, seed, by: made[made["attack"] == "A01"])
    assert profile.group_table(None, DETECTORS, 0, "attack").empty


def test_what_could_not_be_read_is_counted(profiled, monkeypatch):
    left_out = {"camhfa": 0, "sls": 2}
    monkeypatch.setattr(
        profile, "profile_left_out", lambda study, name, seed: pd.DataFrame(index=range(left_out[name]))
    )
    assert profile.set_note(None, DETECTORS, 0, profiled) == (
        "12 utterances of *eval* are profiled; not read: 2 by sls."
    )


def test_summaries_keep_the_order_of_methods_and_the_band_of_the_shifts(tmp_path, write_experiment, monkeypatch):
    study = write_experiment(tmp_path, validation={"rounds": 20})
    rows = [
        {"utterance": f"E_{n}", "speaker": f"S{n % 2}", "recording": f"R{n}", "method": method, "aggregation": "signed",
         "space": "", "replacement": "", "statistic": "steps", "at": "16", "value": 0.5, "control": 0.1,
         "control_low": -0.1 * n, "control_high": 0.2 * n, "beaten": 1.0}
        for method in ("random", "ig") for n in range(5)
    ]  # fmt: skip
    monkeypatch.setattr(faithful, "sane", lambda study, name, seed, methods: pd.DataFrame(rows).assign(detector=name))
    found = faithful.sane_of(study, ["sls", "camhfa"], 0)
    assert found[["detector", "method"]].to_numpy().tolist() == [
        ["sls", "random"], ["sls", "ig"], ["camhfa", "random"], ["camhfa", "ig"],
    ]  # fmt: skip
    assert found["band_low"].tolist() == pytest.approx([-0.2] * 4)
    assert found["band_high"].tolist() == pytest.approx([0.4] * 4)
