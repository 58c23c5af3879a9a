"""The audit of the published release: closed forms on made-up tables, and the stored summary."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sslig import stages
from sslig.attribution.baselines import zero
from sslig.report import audit, audit_annotations, audit_draws, audit_order, audit_release
from sslig.report.audit_annotations import AuditError
from sslig.stats import metrics
from sslig.stats.intervals import Clusters

STORED = json.loads(audit.STORED.read_text(encoding="utf-8"))


@pytest.fixture
def selection():
    """Two correct and two wrong middle spoofs, the same of bona fide, under exchanged names; two confident ones."""
    rows = [("Mid-Correct Spoof", "spoof", -3), ("Mid-Correct Spoof", "spoof", -4),
            ("Mid-Wrong Spoof", "spoof", 3), ("Mid-Wrong Spoof", "spoof", 4),
            ("Mid-Correct Bonafide", "bonafide", 1), ("Mid-Correct Bonafide", "bonafide", 2),
            ("Mid-Wrong Bonafide", "bonafide", -1), ("Mid-Wrong Bonafide", "bonafide", -2),
            ("Confidently Correct Spoof", "spoof", 9), ("Confidently Wrong Bonafide", "bonafide", 8),
            ("Best Spoof", "spoof", 12)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["SelectionReason", "Label", "AASIST_Score"])
    names = {"FileID": [f"E_{i}" for i in range(len(rows))], "Speaker": [f"S_{i % 4}" for i in range(len(rows))]}
    return table.assign(**names, CAMHFA_Score=10 * table["AASIST_Score"], SLS_Score=table["AASIST_Score"] - 1)


@pytest.fixture
def annotations(tmp_path):
    """Writes a table of annotations: for each row a cue, a locality and a range of all detectors, or none."""

    def write(*rows, header=None):
        lines = [header or "|".join(["file", *(f"{name}_{part}" for name in audit_annotations.DETECTORS for part in
                 ("cue", "loc", "audible", "range/start", "range/end")), "general"])]  # fmt: skip
        for i, (cue, locality, start, end) in enumerate(rows):
            lines.append("|".join([f"E_{i}", *([cue, str(locality), "true", str(start), str(end)] * 3), '"a ""b""|c"']))
        path = tmp_path / "annotations.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


# groups and EERs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("above", "expected"),
    [([0, 0, 1, 1], (4, 2, 3)), ([1, 1, 0, 0], (2, -np.inf, 1)), ([0, 1, 0, 1], (3, 1, 2)), ([1] * 4, (4, -np.inf, 1))],
)
def test_the_best_threshold_is_found(above, expected):
    assert audit_release.fit([1.0, 2, 3, 4], above) == expected
    assert audit_release.fit([4.0, 3, 2, 1], above[::-1]) == expected


def test_exchanged_names_and_a_renamed_group_are_found(selection):
    """All eight middle scores fit between -1 and 1 once exchanged; one of the pairs names no middle group."""
    pairs = [("CR Spoof", "CW Bonafide"), ("CR Spoof", "Worst Spoof"), ("CR Spoof", "Mid-Correct Spoof"),
             ("Mid-Correct Bonafide", "Mid-Wrong Bonafide"), ("CR Spoof", "Mid-Wrong Spoof")]  # fmt: skip
    found = audit_release.groups(selection, pd.DataFrame(pairs, columns=["Group_1", "Group_2"]))
    assert (found["mid"], found["confident"], found["eers"], found["eers_of_mid"]) == (8, 2, 5, 3)
    aasist = found["fits"][0]
    assert (aasist["published"], aasist["exchanged"], aasist["confident"]) == (4, 8, 2)
    assert (aasist["threshold_low"], aasist["threshold_high"]) == (-1, 1)
    assert found["renamed"] == [
        {"selection": "Best Spoof", "pairwise": "Worst Spoof", "utterances": 1, "lowest": 12, "highest_other": 9}
    ]


def test_without_ties_no_stepped_eer_is_above_its_ceiling(rng):
    highest = 0
    for _ in range(300):
        n, m = rng.integers(2, 12, size=2)
        values = rng.permutation(n + m).astype(float)
        found = audit_release.stepped_eer(values[:n], values[n:])
        assert found <= audit_release.ceiling(n, m) + 1e-12
        assert found == pytest.approx(audit_release.stepped_eer(-values[:n], -values[n:]))
        highest = max(highest, found - 0.5)
    assert highest > 0  # groups this small do pass one half


def test_ties_make_a_stepped_eer_of_anything():
    """A constant tells nothing apart: stepped through one by one, bona fide first, its EER is 100 %, else 50 %."""
    assert audit_release.stepped_eer(np.zeros(5), np.zeros(7)) == 1
    assert metrics.eer(np.zeros(5), np.zeros(7)) == 0.5


def test_an_eer_by_ties_is_explained(selection):
    """Of 5 bona fide and 6 spoof utterances 4 and 5 are tied: (4/5 + 5/6) / 2."""
    published = pd.DataFrame({"Metric": ["silence_s", "duration_s"], "EER": [(4 / 5 + 5 / 6) / 2, 0.4]})
    silence, duration = audit_release.overall_eers(selection, published)
    assert duration == {"measure": "duration_s", "published": 0.4, "tied": False}
    assert (silence["tied_bonafide"], silence["tied_spoof"]) == (4, 5)
    assert silence["one_step"] == pytest.approx(0.5 - abs(4 / 5 - 5 / 6) / 2)
    assert silence["lowest"] == pytest.approx((silence["published"] - 1 / 20) / 2)
    with pytest.raises(AuditError, match=r"EER 0\.7123.*no ties among 5 bona fide and 6 spoof"):
        audit_release.overall_eers(selection, published.assign(EER=0.7123))


def test_pairs_above_one_half_are_counted(selection):
    """The middle groups have two utterances each: 0.5 + 1 / 8 needs no tie."""
    rows = [("Mid-Correct Spoof", "Mid-Wrong Spoof", eer) for eer in (0.4, 0.6, 0.625, 0.75)]
    table = pd.DataFrame(rows, columns=["Group_1", "Group_2", "EER"]).assign(Metric="silence_s")
    (found,) = audit_release.pairwise_eers(selection, table)
    assert found == {"measure": "silence_s", "pairs": 4, "above_half": 3, "tied": 1, "highest": 0.75}


# annotations -----------------------------------------------------------------------------------------------------


def test_annotations_are_read_and_empty_forms_left_out(annotations, selection):
    path = annotations(("noise", 1, 0, 2), ("", 3, "", ""), ("phoneme", 5, 1, 3))
    found = audit_annotations.read(path, selection)
    assert found["file"].tolist() == ["E_0", "E_2"]
    assert found["speaker"].tolist() == ["S_0", "S_2"]
    assert found["sls_end_s"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (("hum", 1, 0, 2), r"row 3 \(E_1\): aasist: a cue that is none of glitch"),
        (("noise", 6, 0, 2), "aasist: a locality that is not 1 to 5"),
        (("noise", 1, 2, 2), "a range that does not end after it starts"),
        (("noise", 1, 2, ""), "a range that does not end after it starts"),
    ],
)
def test_faulty_annotations_are_named(annotations, selection, row, fault):
    with pytest.raises(AuditError, match=fault):
        audit_annotations.read(annotations(("noise", 1, 0, 2), row), selection)


def test_unknown_files_and_missing_columns_are_named(annotations, selection):
    with pytest.raises(AuditError, match=r"row 2 \(E_0\): a file that is not in the selection"):
        audit_annotations.read(annotations(("noise", 1, 0, 2)), selection.iloc[1:])
    with pytest.raises(AuditError, match="no column file, aasist_cue"):
        audit_annotations.read(annotations(header="name|cue"), selection)


@pytest.fixture
def marked():
    """Four utterances of three speakers; SLS has no cue on the last."""
    table = pd.DataFrame({"file": list("abcd"), "speaker": ["S0", "S0", "S1", "S2"]})
    starts = {"aasist": [0.0, 0, 4, 6], "camhfa": [0.0, 1, 5, 7], "sls": [-0.1, 0, 2, 4]}
    for name, start_s in starts.items():
        end_s = np.array(start_s) + (1 if name == "camhfa" else 2)
        table = table.assign(**{f"{name}_start_s": start_s, f"{name}_end_s": end_s, f"{name}_audible": True})
        table = table.assign(**{f"{name}_loc": 5 if name == "camhfa" else 1, f"{name}_cue": "phoneme"})
    table["sls_cue"] = ["noise", "noise", "phoneme", None]
    return table


def test_shares_are_of_what_is_labelled(marked):
    rows = audit_annotations.cue_shares(marked, audit_draws.drawn(marked["speaker"]))
    found = {(row["detector"], row["cue"]): row for row in rows}
    sls = found["sls", "noise"]
    assert (sls["n"], sls["labels"], sls["value"]) == (2, 3, 0.666667)
    assert 0 <= sls["low"] < sls["value"] < sls["high"] <= 1
    assert found["sls", "breath"] == {
        "detector": "sls", "cue": "breath", "n": 0, "labels": 3, "value": 0, "low": None, "high": None
    }  # fmt: skip


def test_draws_take_speakers_whole(marked):
    draws = audit_draws.drawn(marked["speaker"])
    assert draws.shape == (1 + audit_draws.ROUNDS, 4)
    assert (draws[0] == 1).all()
    assert (draws[:, 0] == draws[:, 1]).all()
    assert (draws[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_statements_are_judged_by_both_differences(marked):
    """CA-MHFA is more local than both, always; SLS never names a transition, nor do the others."""
    rows = audit_annotations.statements(marked, audit_draws.drawn(marked["speaker"]))
    verdicts = {audit_annotations.STATEMENTS[row["statement"]].says: row["verdict"] for row in rows}
    assert verdicts["looks at word boundaries"] == "open"
    local = next(row for row in rows if audit_annotations.STATEMENTS[row["statement"]].says.endswith("stretches"))
    ends = dict.fromkeys(("low", "high", "low_within", "high_within"))
    assert local["less"]["sls"] == {"value": 4, **ends}
    assert local["verdict"] == "supported"


def test_a_mark_without_a_cue_is_not_judged(marked):
    """The locality and audibility beside the unlabelled SLS mark are those of an untouched form."""
    marked.loc[3, ["sls_loc", "sls_audible"]] = [3, False]
    draws = audit_draws.drawn(marked["speaker"])
    found = {(row["detector"], row["what"]): row for row in audit_annotations.judgements(marked, draws)}
    assert found["sls", "loc"] == {
        "detector": "sls", "what": "loc", "labels": 3, "value": 1, "low": None, "high": None
    }  # fmt: skip
    assert (found["sls", "audible"]["value"], found["aasist", "audible"]["labels"]) == (1, 4)
    local = audit_annotations.statements(marked, draws)[2]
    assert local["less"]["sls"]["value"] == 4


# how sure a figure is --------------------------------------------------------------------------------------------


def test_the_draws_are_those_of_the_bootstrap():
    speakers = ["S0", "S0", "S1", "S2", "S3"]
    clusters, generator = Clusters.of(speakers, None), np.random.default_rng(7)
    expected = [clusters.draw(generator)[clusters.of_trial] for _ in range(50)]
    np.testing.assert_array_equal(audit_draws.drawn(speakers, seed=7)[1:51], expected)


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([(0.1, 1), (0.2, 1)], "supported"),
        ([(0.1, 1), (-0.1, 1)], "open"),
        ([(0.1, 1), (-2, -1)], "contradicted"),
        ([(0.1, 1), (0, 1)], "on the edge"),
        ([(0.1, 1), (-1, 0)], "on the edge"),
        ([(-1, 1), (0, 1)], "open"),
        ([(-2, -1), (0, 1)], "contradicted"),
        ([(0.1, 1), (0, 0)], "open"),
        ([(0.1, 1), (0.3, 0.3)], "supported"),
    ],
)
def test_verdicts(ends, verdict):
    """Rounds spread evenly so that their interval has these ends, or all alike."""
    found = {}
    for name, (low, high) in zip("ab", ends, strict=True):
        spread = (high - low) / audit_draws.LEVEL * (1 - audit_draws.LEVEL) / 2
        found[name] = audit_draws.difference(np.r_[(low + high) / 2, np.linspace(low - spread, high + spread, 2001)])
    assert audit_draws.verdict(found) == verdict


def test_an_end_lies_within_the_error_of_the_draws():
    """Of 0, 1, ..., n the quantile q is q n, and three binomial standard errors are 3 sqrt(q (1 - q) n)."""
    n = audit_draws.ROUNDS
    found = audit_draws.difference(np.r_[n / 2, np.arange(n + 1.0)])
    error = 3 * np.sqrt(0.025 * 0.975 * n)
    assert found["low_within"] == pytest.approx([0.025 * n - error, 0.025 * n + error], abs=0.1)
    assert found["high_within"] == pytest.approx([0.975 * n - error, 0.975 * n + error], abs=0.1)
    assert not audit_draws.near_zero(found, "low")
    assert audit_draws.difference(np.ones(9))["low_within"] is None


def test_no_verdict_depends_on_the_seed(reference):
    selection = pd.read_csv(reference / audit_release.TABLES["selection"])
    table = audit_annotations.read(reference / audit_release.TABLES["annotations"], selection)
    expected = [row["verdict"] for row in STORED["annotations"]["statements"]]
    for seed in range(1, 5):
        rows = audit_annotations.statements(table, audit_draws.drawn(table["speaker"], seed))
        assert [row["verdict"] for row in rows] == expected


def test_late_marks_are_counted(marked):
    """201 frames end at (200 * 320 + 400) / 16000 s."""
    aasist, camhfa, sls = audit_annotations.reach(marked)
    assert aasist["limit_s"] == 4.025
    assert [(row["end_later"], row["start_later"]) for row in (aasist, camhfa, sls)] == [(2, 1), (2, 2), (1, 0)]
    assert sls["latest_end_s"] == 6
    by_time = audit_annotations.ends_by(marked)
    assert by_time["aasist"][by_time["time_s"].index(2.0)] == 0.5
    assert all(by_time[name][-1] == 1 for name in audit_annotations.DETECTORS)


def test_overlap_is_intersection_over_union(marked):
    """AASIST [0, 2] [0, 2] [4, 6] [6, 8] and CA-MHFA [0, 1] [1, 2] [5, 6] [7, 8] share half of each."""
    first = audit_annotations.overlaps(marked, audit_draws.drawn(marked["speaker"]))[0]
    assert first["detectors"] == ["aasist", "camhfa"]
    assert (first["marks"], first["apart"]) == (4, 0)
    assert first["same"]["value"] == 0.5
    # of twelve pairs of different utterances those of the first two share half of each, the others nothing
    assert first["chance"] == pytest.approx(2 * 0.5 / 12, abs=1e-6)
    assert first["above_chance"]["value"] == pytest.approx(0.5 - 1 / 12, abs=1e-6)


# layers taken for examples ---------------------------------------------------------------------------------------


class Squared(nn.Module):
    """F(x) = (sum of all x) squared."""

    def forward(self, x):
        return x.sum(dim=(1, 2, 3)) ** 2


class Last(nn.Module):
    """F(x) = sum of the last layer."""

    def forward(self, x):
        return x[:, -1].sum(dim=(1, 2))


def test_a_sum_over_layers_sees_all_points_at_once():
    """With points alpha the head squares the sum of alpha_k x, so that each gradient is 2 * points / 2 * sum of x."""
    x = torch.arange(1.0, 13).reshape(1, 2, 3, 2)
    found = audit_order.layers_as_examples(Squared(), x, torch.zeros_like(x), points=10)
    assert found.shape == (2, 3, 2)
    assert found.sum().item() == pytest.approx(10 * 78**2, rel=1e-5)
    assert audit_order.batch_first(Squared(), x, torch.zeros_like(x), points=10).sum().item() == pytest.approx(78**2)


def test_a_head_that_reads_the_last_layer_sees_the_last_point_alone():
    """Its attribution is that of one point: the last weight of the quadrature."""
    x = torch.ones(1, 2, 3, 2)
    found = audit_order.layers_as_examples(Last(), x, torch.zeros_like(x), points=5)
    weight = np.polynomial.legendre.leggauss(5)[1][-1] / 2
    assert found[0].abs().sum() == 0
    assert found[1].sum().item() == pytest.approx(6 * weight)
    assert audit_order.batch_first(Last(), x, torch.zeros_like(x), points=5).sum().item() == pytest.approx(6)


def test_both_orders_on_a_study(experiment, tiny_detector, tmp_path, monkeypatch):
    for head in ("camhfa", "sls"):
        tiny_detector(head).save_pretrained(tmp_path / head)
    monkeypatch.setattr(stages, "checkpoint", lambda study, name, seed: tmp_path / name)
    monkeypatch.setattr(stages, "baseline", lambda study, name, seed: zero(n_layers=3, feature_size=16))
    found = audit_order.compare(experiment, ["camhfa", "sls"], 0, 2)
    assert found["detector"].tolist() == ["camhfa"] * 2 + ["sls"] * 2
    camhfa, sls = audit_order.table(found).to_dict("records")
    assert (camhfa["in the release"], camhfa["layers first adds up to (%)"]) == ("batch first", "refused by the head")
    assert sls["in the release"] == "layers first"
    assert -1 <= sls["correlation"] <= 1
    assert list(audit_order.profiles(found)) == ["sls"]
    assert "camhfa refuses it" in audit_order.note(found)
    assert "The release calls AASIST and SLS that way." in audit_order.note(found)


def test_a_study_of_refusing_heads_is_summed_up():
    frames = np.array([1.0, -2, 3])
    found = pd.DataFrame({"detector": ["camhfa"], "head": ["camhfa"], "utterance": ["E_0"], "difference": [2.0],
                          "batch_first": [frames], "layers_first": [None]})  # fmt: skip
    (row,) = audit_order.table(found).to_dict("records")
    assert row["batch first adds up to (%)"] == "100.0 (100.0 to 100.0)"
    assert np.isnan(row["correlation"])
    assert audit_order.profiles(found) == {}
    same = audit_order.table(found.assign(layers_first=[2 * frames]))
    assert same["layers first adds up to (%)"].item() == "200.0 (200.0 to 200.0)"
    assert same["correlation"].item() == pytest.approx(1)
    assert same["strongest shared (%)"].item() == 100


# where the figures come from -------------------------------------------------------------------------------------


def test_the_reference_is_named_or_set_or_beside(tmp_path, monkeypatch):
    named, other, beside = (tmp_path / name for name in ("named", "other", "beside"))
    monkeypatch.delenv(audit.VARIABLE, raising=False)
    assert audit.reference_folder(beside=beside) is None
    for folder in (named, other, beside):
        folder.mkdir()
    assert audit.reference_folder(beside=beside) == beside
    monkeypatch.setenv(audit.VARIABLE, str(other))
    assert audit.reference_folder(beside=beside) == other
    assert audit.reference_folder(str(named), beside) == named
    with pytest.raises(AuditError, match=r"reference is .*nowhere, which is no folder"):
        audit.reference_folder(str(tmp_path / "nowhere"))
    monkeypatch.setenv(audit.VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(AuditError, match=r"SSLIG_REFERENCE is .*gone, which is no folder"):
        audit.reference_folder(beside=beside)


def test_without_tables_the_stored_summary_is_shown(tmp_path, monkeypatch):
    monkeypatch.delenv(audit.VARIABLE, raising=False)
    found, origin = audit.load(beside=tmp_path / "none")
    assert found == STORED
    assert "stored summary" in origin
    with pytest.raises(AuditError, match="no stored summary, and no published tables"):
        audit.load(stored=tmp_path / "none.json", beside=tmp_path / "none")


def test_a_folder_without_the_tables_is_named(tmp_path):
    with pytest.raises(AuditError, match=r"published_selection_132\.csv: no such file"):
        audit_release.summary(tmp_path)
    (tmp_path / audit_release.TABLES["selection"]).write_text("FileID,Label\nE_0,spoof\n")
    with pytest.raises(AuditError, match=r"no column Speaker, SelectionReason, AASIST_Score.*; it has FileID, Label"):
        audit_release.summary(tmp_path)


def test_the_command_says_what_is_wrong(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*no such file"):
        audit.main(["--reference", str(tmp_path), "--write", str(tmp_path / "audit.json")])
    assert not (tmp_path / "audit.json").exists()


def test_the_stored_summary_is_what_the_tables_give(reference, tmp_path):
    audit.main(["--reference", str(reference), "--write", str(tmp_path / "audit.json")])
    made = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert flat(made) == pytest.approx(flat(STORED), abs=2e-6)


def flat(value, name=""):
    """The leaves of nested lists and mappings by their place; a text stands for itself."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: leaf for key, part in items for place, leaf in flat(part, f"{name}/{key}").items()}
    return {f"{name}={value}": 0} if value is None or isinstance(value, str) else {name: value}


# the page's words ------------------------------------------------------------------------------------------------


def test_the_page_reads_the_summary():
    assert audit.answer(STORED).startswith("**Answer.** In part. In the tables 20 of 132 group names are exchanged")
    assert "2 of 10 artefact EERs are products of tied values" in audit.answer(STORED)
    assert "1 supported, 1 contradicted, 2 open and 1 on the edge" in audit.statement_note(STORED)
    assert "51 of them, all of leading_silence_s and trailing_silence_s" in audit.eer_note(STORED)
    assert "in 3 of 288 pairs" in audit.eer_note(STORED)
    assert "CA-MHFA phoneme (36 %)" in audit.cue_note(STORED)
    assert "48 of 100 marks of AASIST end later" in audit.reach_note(STORED)
    assert "260 of 360 pairwise EERs" in audit.group_note(STORED)
    assert "the values hold, under the exchanged names. The group" in audit.group_note(STORED)
    assert "these are the spoofs that AASIST finds easiest" in audit.group_note(STORED)
    assert "3 of 3 pairs meet more than chance explains" in audit.overlap_note(STORED)
    assert "(4254a7499dec)" in audit.source_note(STORED, "They are stored.")


def test_the_page_tables_have_a_row_each():
    tables = [audit.group_table, audit.judgement_table, audit.reach_table, audit.overlap_table]
    assert [len(make(STORED)) for make in tables] == [3] * 4
    assert len(audit.eer_table(STORED)) == 10
    assert len(audit.cue_table(STORED)) == 24
    assert audit.cue_table(STORED)[["share", "low"]].dtypes.eq(float).all()
    contradicted = audit.statement_table(STORED).set_index("verdict").loc["contradicted"]
    assert contradicted["statement"] == "SLS looks at word boundaries"
    assert "CA-MHFA -17 [-27, -7]" in contradicted["more than"]
    edge = audit.statement_table(STORED).set_index("verdict").loc["on the edge"]
    assert edge["more than"] == "CA-MHFA +23 [+14, +32]; SLS +9 [+0.0, +19]"
    assert audit.judgement_table(STORED)["labelled"].tolist() == [99, 99, 100]
    assert set(audit.ends(STORED)["shares"]) == {"AASIST", "CA-MHFA", "SLS"}


def test_the_words_follow_the_figures():
    found = json.loads(json.dumps(STORED))
    found["groups"]["fits"][0]["published"] = 20
    found["eer"]["overall"] = [row | {"tied": False} for row in found["eer"]["overall"]]
    found["groups"]["renamed"][0]["highest_other"] = found["groups"]["renamed"][0]["lowest"]
    assert "the scores show no exchange of group names, and 0 of 10" in audit.answer(found)
    said = audit.group_note(found)
    assert said.startswith("The scores do not show that the names Mid-Correct and Mid-Wrong are exchanged. 260 of 360")
    assert "the values hold" not in said
    assert "not above those of all other spoofs" in said
    assert "easiest" not in said
    assert audit.eer_note(found) == "54 pairwise EERs are above 50 %, and no EER of bona fide against spoof is."
