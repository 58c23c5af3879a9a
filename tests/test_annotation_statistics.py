"""Statistics of annotations: closed forms on few rows, agreement as other libraries give it, and degenerate cases."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from sslig.annotation import statistics
from sslig.annotation.plan import conformed, row_of
from sslig.annotation.statistics import Resampling
from sslig.annotation.store import CUES
from sslig.frames import SSL_CLOCK

HOW = Resampling(rounds=200)


def annotated(cues, annotator="Ann", **columns):
    """A row an utterance for each cue; columns are the same in all rows, or lists."""
    common = {"detector": "sls", "start_s": 1.0, "end_s": 2.0, "locality": 4, "audible": True}
    rows = []
    for place, cue in enumerate(cues):
        values = {name: value[place] if isinstance(value, list) else value for name, value in columns.items()}
        rows.append(row_of(common | {"annotator": annotator, "utterance": f"E_{place}", "cue": cue} | values))
    return conformed(rows)


def joined(*tables):
    return pd.concat(tables, ignore_index=True)


def figure(table, what, statistic):
    (row,) = table[(table["what"] == what) & table["statistic"].str.startswith(statistic)].to_dict("records")
    return row


def test_kappa_of_cues_in_closed_form():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: 0.7 observed, 0.5 by chance, kappa 0.4
    first = annotated(["noise"] * 25 + ["glitch"] * 25)
    second = annotated(["noise"] * 20 + ["glitch"] * 5 + ["noise"] * 10 + ["glitch"] * 15, "Bob")
    table = statistics.between(joined(first, second), HOW)
    kappa = figure(table, "cue", "Cohen")
    assert kappa["value"] == pytest.approx(0.4)
    assert kappa["low"] < 0.4 < kappa["high"]
    assert (kappa["first"], kappa["second"], kappa["n"]) == ("Ann", "Bob", 50)
    assert figure(table, "cue", "same answer")["value"] == pytest.approx(0.7)
    counts = statistics.paired(first, second).value_counts(["cue_first", "cue_second"])
    assert counts[[("noise", "noise"), ("noise", "glitch"), ("glitch", "noise")]].tolist() == [20, 5, 10]


def test_kappas_are_those_of_scikit_learn(rng):
    cues = [rng.choice(list(CUES), 60).tolist() for _ in range(2)]
    levels = [rng.integers(1, 6, 60).tolist() for _ in range(2)]
    tables = [annotated(cues[at], name, locality=levels[at]) for at, name in enumerate(("Ann", "Bob"))]
    table = statistics.between(joined(*tables), HOW)
    assert figure(table, "cue", "Cohen")["value"] == pytest.approx(cohen_kappa_score(*cues))
    assert figure(table, "locality", "Cohen")["value"] == pytest.approx(cohen_kappa_score(*levels, weights="linear"))


def test_a_single_answer_has_no_kappa_and_full_agreement():
    same = joined(annotated(["noise"] * 6), annotated(["noise"] * 6, "Bob"))
    table = statistics.between(same, HOW)
    assert np.isnan(figure(table, "cue", "Cohen")["value"])
    assert figure(table, "cue", "same answer")["value"] == 1
    assert statistics.of_all(same, HOW)["value"].isna().all()
    half = joined(annotated(["noise"] * 6), annotated(["noise", "glitch"] * 3, "Bob"))
    assert figure(statistics.between(half, HOW), "cue", "Cohen")["value"] == pytest.approx(0)


def test_agreement_takes_two_annotators_who_judge_the_same_region():
    alone = annotated(["noise", "glitch"])
    for function in (statistics.between, statistics.of_all, statistics.within):
        assert function(alone, HOW).empty
        assert function(alone.head(0), HOW).empty
    table = joined(annotated(["noise", "glitch", None]), annotated(["noise", None, "glitch"], "Bob"))
    assert figure(statistics.between(table, HOW), "cue", "same answer")["n"] == 1


def test_segments_and_frames_in_closed_form():
    first = annotated(["noise"] * 4, start_s=[0.0, 0.0, 0.0, 2.0], end_s=[1.0, 1.0, 1.0, 3.0])
    second = annotated(["noise"] * 4, "Bob", start_s=0.0, end_s=[1.0, 2.0, 2.5, 1.0])
    table = statistics.between(joined(first, second), HOW, {f"E_{at}": 4.0 for at in range(4)})
    assert figure(table, "region", "F1")["value"] == pytest.approx(0.5)  # 2 of 4 marks of each overlap by half
    assert figure(table, "region", "overlap")["value"] == pytest.approx((1 + 0.5 + 0.4 + 0) / 4)
    centre_s = SSL_CLOCK.centre_s(SSL_CLOCK.n_frames(64_000))
    masks = [
        np.concatenate([(row.start_s <= centre_s) & (centre_s < row.end_s) for row in marks.itertuples()])
        for marks in (first, second)
    ]
    assert figure(table, "region", "frame")["value"] == pytest.approx(cohen_kappa_score(*masks))
    second.loc[0, ["start_s", "end_s"]] = np.nan  # a mark against none is a miss
    f1 = figure(statistics.between(joined(first, second), HOW), "region", "F1")
    assert (f1["value"], f1["n"]) == (pytest.approx(2 * 1 / 7), 4)


def test_alpha_is_that_of_the_literature():
    """Three coders and fifteen units, an example that is often computed: nominal alpha is 0.691."""
    coders = ["-----3412113 3-3".replace(" ", ""), "1-213343-------", "--21344-21133-4"]
    names = dict(zip("1234", CUES, strict=False))
    tables = [annotated([names.get(code) for code in codes], f"coder {at}") for at, codes in enumerate(coders)]
    row = figure(statistics.of_all(joined(*tables), HOW), "cue", "Krippendorff")
    assert row["value"] == pytest.approx(0.691358, abs=1e-6)
    assert (row["n"], row["annotators"]) == (12, 3)


def test_ordinal_alpha_forgives_near_misses():
    levels = [1, 2, 3, 4, 5, 1, 2, 3]
    values = []
    for others in ([2, 3, 4, 5, 4, 2, 3, 4], [5, 5, 5, 1, 1, 5, 5, 1]):
        tables = annotated(["noise"] * 8, locality=levels), annotated(["noise"] * 8, "Bob", locality=others)
        values.append(figure(statistics.of_all(joined(*tables), HOW), "locality", "Krippendorff")["value"])
    assert values[0] > 0.5 > 0 > values[1]


def test_fleiss_in_closed_form():
    """Three annotators, two cues: P = (1 + 1 + 1/3 + 1/3) / 4, p = 1/2 each, so kappa = (2/3 - 1/2) / (1/2)."""
    cues = [["noise", "glitch", "noise", "glitch"]] * 2 + [["noise", "glitch", "glitch", "noise"]]
    tables = [annotated(labels, f"coder {at}") for at, labels in enumerate(cues)]
    assert figure(statistics.of_all(joined(*tables), HOW), "cue", "Fleiss")["value"] == pytest.approx(1 / 3)


def test_self_agreement_takes_repeats_and_their_decoys():
    first = joined(annotated(["noise", "glitch"]), annotated(["unclear", "unclear"], decoy=True))
    again = joined(annotated(["noise"], repeat=True), annotated(["noise"], decoy=True, repeat=True))
    row = figure(statistics.within(joined(first, again), HOW), "cue", "same answer")
    assert (row["value"], row["n"], row["second"]) == (0.5, 2, "Ann, repeated")


def test_only_the_last_annotation_of_a_region_counts():
    old = annotated(["noise"], item="open/E_0", changed_at="2026-01-01")
    new = annotated(["glitch"], item="blind/E_0", changed_at="2026-01-02")
    row = figure(statistics.between(joined(new, old, annotated(["glitch"], "Bob")), HOW), "cue", "same answer")
    assert (row["value"], row["n"]) == (1, 1)


def test_guesses_from_the_class_of_the_top_region():
    table = annotated(["silence", "phoneme", "glitch", "phoneme", "noise"])
    regions = table[["utterance", "detector"]].assign(segment_class=["pause", "vowel", "vowel", "trailing", "unknown"])
    guesses = statistics.guessed(table, regions)
    assert guesses["guess"].tolist() == ["silence", "phoneme", "phoneme", "silence"]
    rows = statistics.guess_agreement(guesses, HOW).set_index("statistic")
    assert rows.loc["same answer", ["n", "value"]].tolist() == [4, 0.5]
    assert rows.loc["Cohen's kappa", "value"] == pytest.approx(cohen_kappa_score(guesses["guess"], guesses["cue"]))
    assert statistics.guess_agreement(guesses.head(0), HOW).empty


def test_shares_count_labels_and_leave_out_decoys_repeats_and_the_unlabelled():
    table = joined(
        annotated(["noise"] * 6 + ["glitch"] * 2 + [None]),
        annotated(["breath"], decoy=True),
        annotated(["breath"], repeat=True),
        annotated(["silence", "silence"], detector="aasist"),
    )
    shares = statistics.cue_shares(table, HOW).set_index(["detector", "cue"])
    assert len(shares) == 2 * len(CUES)
    assert shares.loc[("sls", "noise"), ["n", "labels", "share"]].tolist() == [6, 8, 0.75]
    assert shares.loc[("sls", "noise"), "low"] < 0.75 < shares.loc[("sls", "noise"), "high"]
    assert shares.loc[("sls", "breath"), "n"] == 0


def test_a_share_that_no_round_changes_has_a_wilson_interval():
    table = annotated(["silence"] * 12)
    shares = statistics.cue_shares(table, HOW).set_index("cue")
    for cue, n in (("silence", 12), ("noise", 0)):
        assert shares.loc[cue, ["low", "high"]].tolist() == pytest.approx(proportion_confint(n, 12, method="wilson"))
    shares = statistics.cue_shares(table.assign(speaker=[*"aabbccddeeff"]), HOW).set_index("cue")
    assert shares.loc["silence", "low"] == pytest.approx(proportion_confint(6, 6, method="wilson")[0])
    assert statistics.cue_shares(table.head(1), HOW)[["low", "high"]].isna().all(axis=None)


def test_utterances_of_a_speaker_are_drawn_together():
    """Each speaker gives one label only: speakers at large vary, recordings of these speakers do not."""
    table = annotated(["noise"] * 12 + ["glitch"] * 12)
    speakers = table.assign(speaker=[*"abcdef" * 2, *"uvwxyz" * 2], recording=range(24))
    alone, together, within = (
        statistics.cue_shares(rows, how).set_index("cue").loc["noise", ["low", "high"]].tolist()
        for rows, how in ((table, HOW), (speakers, HOW), (speakers, Resampling(rounds=200, recordings=True)))
    )
    assert together[0] < alone[0] < 0.5 < alone[1] < together[1]
    assert np.isnan(within).all()  # no round differs


def test_shares_by_class_and_tables_of_nothing():
    shares = statistics.cue_shares(annotated(["noise", "glitch"]).assign(key=["spoof", "bonafide"]), HOW, by=["key"])
    assert shares.query("n == 1")[["key", "cue"]].to_numpy().tolist() == [["spoof", "noise"], ["bonafide", "glitch"]]
    for function in (statistics.cue_shares, statistics.judgements, statistics.overlaps, statistics.decoys):
        assert function(annotated([]), HOW).empty


def test_judgements_are_means_over_marks_with_a_cue():
    table = annotated(["noise", "noise", None], locality=[4, 2, 5], audible=[True, False, True])
    judgements = statistics.judgements(table, HOW).set_index("what")[["value", "n"]]
    assert judgements.T.to_dict("list") == {"locality": [3.0, 2], "audible": [0.5, 2]}


def test_overlap_stands_beside_that_of_different_utterances():
    first = annotated(["noise"] * 3, start_s=[-0.5, 1.0, 2.0], end_s=[1.0, 2.0, 3.0])
    second = annotated(["noise"] * 3, detector="aasist", start_s=[-0.5, 1.0, 2.5], end_s=[1.0, 2.0, 3.5])
    (row,) = statistics.overlaps(joined(first, second), HOW).to_dict("records")
    assert (row["first"], row["second"], row["n"], row["apart"], row["chance"]) == ("sls", "aasist", 3, 0, 0)
    assert row["overlap"] == row["above"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    same = joined(annotated(["noise"] * 3), annotated(["noise"] * 3, detector="aasist"))
    (row,) = statistics.overlaps(same, HOW).to_dict("records")
    assert (row["overlap"], row["chance"], row["above"]) == (1, 1, 0)


def test_decoys_are_compared_with_real_regions_of_the_same_items():
    real = annotated(["noise", "noise", "glitch", "unclear"] * 2 + ["noise"])
    decoys = annotated(["unclear", "unclear", "noise", "unclear"] * 2, decoy=True, audible=False, locality=1)
    table = statistics.decoys(joined(real, decoys), HOW).set_index("what")
    cue = table.loc["cue"]
    assert cue[["n_real", "n_decoy", "real", "decoy", "difference"]].tolist() == [8, 8, 0.75, 0.25, 0.5]
    assert cue["low"] <= 0.5 <= cue["high"]
    assert table.loc["audible", ["real", "decoy"]].tolist() == [1, 0]
    assert table.loc["locality", "difference"] == 3
    assert np.isnan(table.loc["locality", "low"])
