import numpy as np
import pandas as pd
import pytest

from sslig.validation.summary import SummaryError, summarise

OPTIONS = {"seed": 0, "rounds": 200, "resample_recordings": False}


@pytest.fixture
def table(rng):
    """Two methods, one of which beats its control by 2, in 30 utterances of 10 speakers."""
    rows = []
    for number in range(30):
        noise = rng.standard_normal(3)
        common = {"utterance": f"u{number}", "speaker": f"s{number // 3}", "recording": f"u{number}", "detector": "x",
                  "replacement": "interpolation", "at": ""}  # fmt: skip
        for method, statistic, value, control, beaten in [
            ("true", "deletion_area", 2 + noise[0], 0.0, 1.0),
            ("random", "deletion_area", noise[1], 0.0, 0.5),
            ("true", "infidelity", 0.2, 0.9, 1.0),
        ]:
            told = {"method": method, "statistic": statistic, "value": value, "control": control, "beaten": beaten}
            rows.append(common | told)
    return pd.DataFrame(rows)


def test_means_stand_beside_their_controls_with_intervals(table):
    found = summarise(table, **OPTIONS).set_index(["method", "statistic"])
    true, random = found.loc[("true", "deletion_area")], found.loc[("random", "deletion_area")]
    expected = table[(table["method"] == "true") & (table["statistic"] == "deletion_area")]["value"].mean()
    assert true["value"] == true["advantage"] == pytest.approx(expected)
    assert true["value_low"] < true["value"] < true["value_high"]
    assert (true["n"], true["beaten"], true["better"]) == (30, 1, 1)
    assert true["supported"]
    assert random["advantage_low"] < 0 < random["advantage_high"]
    assert not random["supported"]


def test_the_advantage_of_what_is_better_lower_is_turned(table):
    row = summarise(table, **OPTIONS).set_index("statistic").loc["infidelity"]
    assert (row["advantage"], row["better"]) == (pytest.approx(0.7), -1)


def test_what_is_not_defined_does_not_count(table):
    table.loc[0, ["value", "control", "beaten"]] = np.nan
    row = summarise(table, **OPTIONS).set_index(["method", "statistic"]).loc[("true", "deletion_area")]
    values = table["value"][table["method"].eq("true") & table["statistic"].eq("deletion_area")]
    assert row["n"] == 29
    assert row["value"] == pytest.approx(values.mean())


def test_recordings_are_drawn_where_asked_for(table):
    one = table.assign(speaker="s")
    assert summarise(one, **OPTIONS)["value_low"].isna().all()
    assert summarise(one, **OPTIONS | {"resample_recordings": True})["value_low"].notna().all()


def test_groups_are_summed_up_apart(table):
    both = pd.concat([table, table.assign(detector="y", value=table["value"] + 5)])
    found = summarise(both, **OPTIONS).set_index(["detector", "method", "statistic"])["value"]
    assert found["y", "random", "deletion_area"] == pytest.approx(found["x", "random", "deletion_area"] + 5)


def test_what_is_missing_or_stands_twice_is_named(table):
    with pytest.raises(SummaryError, match="beaten"):
        summarise(table.drop(columns="beaten"), **OPTIONS)
    with pytest.raises(SummaryError, match="stands twice"):
        summarise(pd.concat([table, table.head(1)]), **OPTIONS)
