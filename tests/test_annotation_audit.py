"""The audit of the published release: closed forms on small tables, and the stored figures."""

import numpy as np
import pandas as pd
import pytest
import torch

from sslig.annotation import audit
from sslig.annotation.plan import conformed, row_of
from sslig.errors import InputError
from sslig.stats import metrics
from sslig.stats.bootstrap import Estimate


@pytest.fixture
def selection():
    """Two correct and two wrong middle spoofs, the same of bona fide, under exchanged names; two confident ones."""
    rows = [
        *[("Mid-Correct Spoof", "spoof", score) for score in (-3, -4)],
        *[("Mid-Wrong Spoof", "spoof", score) for score in (3, 4)],
        *[("Mid-Correct Bonafide", "bonafide", score) for score in (1, 2)],
        *[("Mid-Wrong Bonafide", "bonafide", score) for score in (-1, -2)],
        ("Confidently Correct Spoof", "spoof", 9),
        ("Confidently Wrong Bonafide", "bonafide", 8),
        ("Best Spoof", "spoof", 12),
    ]
    table = pd.DataFrame(rows, columns=["SelectionReason", "Label", "AASIST_Score"])
    names = {"FileID": [f"E_{i}" for i in range(len(rows))], "Speaker": [f"S_{i % 4}" for i in range(len(rows))]}
    return table.assign(**names, CAMHFA_Score=10 * table["AASIST_Score"], SLS_Score=table["AASIST_Score"] - 1)


def pairs(*rows):
    return pd.DataFrame(rows, columns=["Group_1", "Group_2", "Metric", "EER"])


@pytest.mark.parametrize(
    ("above", "expected"),
    [([0, 0, 1, 1], (4, 2, 3)), ([1, 1, 0, 0], (2, -np.inf, 1)), ([0, 1, 0, 1], (3, 1, 2)), ([1] * 4, (4, -np.inf, 1))],
)
def test_fit_finds_the_best_threshold(above, expected):
    scores, above = np.arange(1.0, 5), np.array(above, dtype=bool)
    assert audit.fit(scores, above) == audit.fit(scores[::-1], above[::-1]) == expected


def test_exchanged_names_fit_all_middle_scores(selection):
    table = audit.groups(selection)
    assert table["detector"].tolist() == ["aasist", "camhfa", "sls"]
    columns = ["middle", "published", "exchanged", "threshold_low", "threshold_high", "confident", "confident_fit"]
    assert table.loc[0, columns].tolist() == [8, 4, 8, -1, 1, 2, 2]


def test_a_group_with_two_names_is_the_same_group(selection):
    named = [("CR Spoof", "CW Bonafide"), ("CR Spoof", "Worst Spoof"), ("CR Spoof", "Mid-Correct Spoof")]
    named += [("Mid-Correct Bonafide", "Mid-Wrong Bonafide"), ("CR Spoof", "Mid-Wrong Spoof")]
    (row,) = audit.renamed(selection, pairs(*[(*pair, "m", 0.4) for pair in named])).to_dict("records")
    expected = {"selection": "Best Spoof", "pairwise": "Worst Spoof", "utterances": 1, "lowest": 12, "highest_other": 9}
    assert row == expected


def test_without_ties_no_stepped_eer_is_above_its_ceiling(rng):
    highest = 0
    for _ in range(300):
        n, m = rng.integers(2, 12, size=2)
        values = rng.permutation(n + m).astype(float)
        eer = audit.stepped_eer(values[:n], values[n:])
        assert eer <= audit.ceiling(n, m) + 1e-12
        assert eer == pytest.approx(audit.stepped_eer(-values[:n], -values[n:]))
        highest = max(highest, eer - 0.5)
    assert highest > 0  # groups this small do exceed one half


def test_ties_make_a_stepped_eer_of_anything():
    """Stepped through one by one, bona fide first, a constant has an EER of 100 %; with a tie as one step, 50 %."""
    assert audit.stepped_eer(np.zeros(5), np.zeros(7)) == 1
    assert metrics.eer(np.zeros(5), np.zeros(7)) == 0.5


def test_eers_by_ties_are_explained_and_pairs_counted(selection):
    """4 of 5 bona fide and 5 of 6 spoofs are tied: (4/5 + 5/6) / 2. Two against two allow 0.5 + 1/8 without ties."""
    overall = pd.DataFrame({"Metric": ["silence_s", "duration_s"], "EER": [(4 / 5 + 5 / 6) / 2, 0.4]})
    rows = [("Mid-Correct Spoof", "Mid-Wrong Spoof", "silence_s", eer) for eer in (0.4, 0.6, 0.625, 0.75)]
    table = audit.eers(selection, overall, pairs(*rows, ("CR Spoof", "CW Bonafide", "duration_s", 0.4)))
    silence, duration = table.to_dict("records")
    assert np.isnan([duration[column] for column in ("lowest", "one_step", "tied_bonafide", "tied_spoof")]).all()
    assert (silence["tied_bonafide"], silence["tied_spoof"]) == (4, 5)
    assert silence["one_step"] == pytest.approx(0.5 - abs(4 / 5 - 5 / 6) / 2)
    assert silence["lowest"] == pytest.approx((silence["published"] - 1 / 20) / 2)
    counts = [silence[column] for column in ("pairs", "middle_pairs", "above_half", "above_ceiling", "highest")]
    assert counts == [4, 4, 3, 1, 0.75]
    assert (duration["pairs"], duration["middle_pairs"], duration["above_half"]) == (1, 0, 0)
    with pytest.raises(InputError, match=r"EER 0\.7123.*no ties among 5 bona fide and 6 spoof"):
        audit.eers(selection, overall.assign(EER=0.7123), pairs(*rows))


@pytest.fixture
def marks():
    """Four utterances of three speakers; SLS has no cue on the last, whose locality is that of an untouched form."""
    starts = {"aasist": [0.0, 0, 4, 6], "camhfa": [0.0, 1, 5, 7], "sls": [-0.1, 0, 2, 4]}
    cues = {"aasist": ["phoneme"] * 4, "camhfa": ["phoneme"] * 4, "sls": ["noise", "noise", "phoneme", None]}
    common = {"annotator": "Ann", "locality": 1}
    rows = [
        common | {"utterance": f"E_{place}", "detector": detector, "start_s": start_s, "end_s": start_s + 2, "cue": cue}
        for detector in starts
        for place, (start_s, cue) in enumerate(zip(starts[detector], cues[detector], strict=True))
    ]
    for row in rows:
        row |= {"end_s": row["start_s"] + 1, "locality": 5} if row["detector"] == "camhfa" else {}
        row |= {} if row["cue"] else {"locality": 3}
    table = conformed([row_of(row) for row in rows])
    return table.assign(speaker=table["utterance"].map({"E_0": "S0", "E_1": "S0", "E_2": "S1", "E_3": "S2"}))


def test_statements_are_judged_by_both_paired_differences(marks):
    """CA-MHFA is always more local than both; nobody names a transition; SLS names fewer phones than both."""
    copies = [marks.assign(utterance=marks["utterance"] + copy, speaker=marks["speaker"] + copy) for copy in "ab"]
    marks = pd.concat(copies, ignore_index=True)
    table = audit.statements(marks).set_index(["statement", "other"])
    assert set(table.loc["looks at word boundaries", "verdict"]) == {"open"}
    local = table.loc[("looks at short stretches", "sls")]
    assert local[["value", "difference", "low", "high", "verdict"]].tolist() == [5, 4, 4, 4, "supported"]
    assert table.loc[("looks at phones", "sls"), "difference"] == pytest.approx(1 - 1 / 3)


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
    """Rounds spread evenly so that their interval has these ends, or all alike; many units have 95 % percentiles."""
    differences, n_units = [], 10**9
    for low, high in ends:
        spread = (high - low) / 0.95 * 0.05 / 2
        rounds = np.linspace(low - spread, high + spread, 2001) if high > low else np.full(2001, float(low))
        differences.append(Estimate(np.float64((low + high) / 2), rounds, n_units, n_units - 1))
    assert audit.verdict(differences) == verdict


def test_late_marks_are_counted(marks):
    """201 frames end at (200 * 320 + 400) / 16000 s."""
    table = audit.reach(marks).set_index("detector")
    assert (table["limit_s"] == 4.025).all()
    assert table[["end_later", "start_later"]].to_numpy().tolist() == [[2, 1], [2, 2], [1, 0]]
    assert table.loc["sls", ["latest_end_s", "median_length_s"]].tolist() == [6, 2]


def test_a_sum_over_layers_sees_all_points_at_once():
    """With points alpha the head squares the sum of alpha_k x, so each gradient is 2 * points / 2 * sum of x."""
    x = torch.arange(1.0, 13).reshape(1, 2, 3, 2)
    options = {"features": x, "baseline": torch.zeros_like(x), "points": 10}

    def squared(x):
        return x.sum(dim=(1, 2, 3)) ** 2

    layers_first = audit.released_gradients(squared, **options, layers_first=True)
    assert layers_first.shape == (2, 3, 2)
    assert layers_first.sum().item() == pytest.approx(10 * 78**2, rel=1e-5)
    assert audit.released_gradients(squared, **options, layers_first=False).sum().item() == pytest.approx(78**2)


def test_a_head_that_reads_the_last_layer_sees_the_last_point_alone():
    """Its attribution is that of one point: the last weight of the quadrature."""
    x = torch.ones(1, 2, 3, 2)
    options = {"features": x, "baseline": torch.zeros_like(x), "points": 5}

    def last(x):
        return x[:, -1].sum(dim=(1, 2))

    layers_first = audit.released_gradients(last, **options, layers_first=True)
    assert layers_first[0].abs().sum() == 0
    assert layers_first[1].sum().item() == pytest.approx(6 * np.polynomial.legendre.leggauss(5)[1][-1] / 2)
    assert audit.released_gradients(last, **options, layers_first=False).sum().item() == pytest.approx(6)


def test_a_head_with_a_weight_for_each_layer_refuses_layers_first(tiny_detector):
    model = tiny_detector("camhfa")
    features = torch.zeros(1, 3, 12, 16)
    with pytest.raises(RuntimeError):
        audit.released_gradients(model.head, features, features, layers_first=True)


def test_without_published_tables_the_stored_figures_are_read(tmp_path, monkeypatch):
    monkeypatch.delenv(audit.VARIABLE, raising=False)
    monkeypatch.setattr(audit, "BESIDE", tmp_path / "none")
    tables, source = audit.load()
    assert source == audit.STORED
    assert tables["groups"][["published", "exchanged"]].to_numpy().tolist() == [[10, 20]] * 3
    verdicts = tables["statements"].drop_duplicates("statement")["verdict"]
    assert verdicts.tolist() == ["on the edge", "open", "supported", "contradicted", "open"]
    assert tables["eers"]["lowest"].notna().sum() == 2


def test_a_folder_without_the_tables_is_named(tmp_path):
    with pytest.raises(InputError, match=r"published_selection_132\.csv: no such file"):
        audit.load(str(tmp_path))


def test_the_stored_figures_are_those_of_the_published_tables(reference):
    """Shares and paired differences, and every stored table as computed now."""
    tables = audit.tables(reference)
    for name, table in tables.items():
        stored = pd.read_csv(audit.STORED / f"{name}.tsv", sep="\t")
        pd.testing.assert_frame_equal(table, stored, check_dtype=False, rtol=1e-6)
    noise = tables["cues"].set_index(["detector", "cue"]).loc[("aasist", "noise")]
    assert noise[["n", "labels", "share"]].tolist() == pytest.approx([21, 99, 0.212121], rel=1e-5)
    short = tables["statements"].set_index(["statement", "other"]).loc[("looks at short stretches", "sls")]
    assert short[["difference", "low", "high"]].tolist() == pytest.approx([2.046061, 1.763802, 2.333333], rel=1e-5)
    meeting = tables["overlaps"].set_index(["first", "second"]).loc[("aasist", "sls")]
    expected = [0.192403, 0.134123, 0.253087, 0.11194]
    assert meeting[["overlap", "low", "high", "chance"]].tolist() == pytest.approx(expected, rel=1e-4)
