"""Statistics of annotations: closed forms on few rows, agreement as other libraries give it, and degenerate cases."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from sslig.annotation import statistics
from sslig.annotation.statistics import Resampling, intersection_over_union
from sslig.annotation.table import conformed, row_of, with_protocol
from sslig.annotation.vocabulary import CUES
from sslig.frames import SSL_CLOCK

HOW = Resampling(rounds=100)


def annotated(annotator, cues, locality=None, regions=None, **changed):
    """What an annotator said of one detector in an utterance for each cue."""
    locality, regions = locality or [3] * len(cues), regions or [(1.0, 2.0)] * len(cues)
    values = zip(cues, locality, regions, strict=True)
    return conformed(
        [
            row_of(
                {
                    "annotator": annotator,
                    "utterance": f"E_{at}",
                    "detector": "sls",
                    "cue": cue,
                    "locality": level,
                    "start_s": region[0],
                    "end_s": region[1],
                    "audible": True,
                }
                | changed
            )
            for at, (cue, level, region) in enumerate(values)
        ]
    )


def both(*tables):
    return pd.concat(tables, ignore_index=True)


def value(figures, what, statistic):
    (row,) = figures[(figures["what"] == what) & figures["statistic"].str.startswith(statistic)].to_dict("records")
    return row


def test_overlap_of_regions():
    figures = intersection_over_union([[0, 2], [5, 6]], [[1, 3], [0, 2], [7, 8]])
    np.testing.assert_allclose(figures, [[1 / 3, 1, 0], [0, 0, 0]])


def test_kappa_of_cues_in_closed_form():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: 0.7 observed, 0.5 by chance, kappa 0.4
    first = annotated("Ann", ["noise"] * 25 + ["glitch"] * 25)
    second = annotated("Bob", ["noise"] * 20 + ["glitch"] * 5 + ["noise"] * 10 + ["glitch"] * 15)
    figures = statistics.between(both(first, second), HOW)
    kappa = value(figures, "cue", "Cohen")
    assert kappa["value"] == pytest.approx(0.4)
    assert kappa["low"] < 0.4 < kappa["high"]
    assert (kappa["first"], kappa["second"], kappa["n"]) == ("Ann", "Bob", 50)
    assert value(figures, "cue", "same answer")["value"] == pytest.approx(0.7)
    pairs = statistics.paired(first, second).value_counts(["cue_first", "cue_second"])
    assert pairs.to_dict() == {
        ("noise", "noise"): 20,
        ("glitch", "glitch"): 15,
        ("glitch", "noise"): 10,
        ("noise", "glitch"): 5,
    }


def test_kappas_are_those_of_scikit_learn(rng):
    cues = [rng.choice(list(CUES), 60).tolist() for _ in range(2)]
    levels = [np.clip(rng.integers(1, 6, 60), 1, 5).tolist() for _ in range(2)]
    table = both(annotated("Ann", cues[0], levels[0]), annotated("Bob", cues[1], levels[1]))
    figures = statistics.between(table, HOW)
    assert value(figures, "cue", "Cohen")["value"] == pytest.approx(cohen_kappa_score(*cues))
    assert value(figures, "locality", "Cohen")["value"] == pytest.approx(cohen_kappa_score(*levels, weights="linear"))


def test_one_answer_has_no_kappa_and_all_the_agreement():
    figures = statistics.between(both(annotated("Ann", ["noise"] * 6), annotated("Bob", ["noise"] * 6)), HOW)
    assert np.isnan(value(figures, "cue", "Cohen")["value"])
    assert value(figures, "cue", "same answer")["value"] == 1
    of_all = statistics.of_all(both(annotated("Ann", ["noise"] * 6), annotated("Bob", ["noise"] * 6)), HOW)
    assert of_all["value"].isna().all()


def test_one_against_a_constant_answer_has_a_kappa_of_0():
    figures = statistics.between(both(annotated("Ann", ["noise"] * 6), annotated("Bob", ["noise", "glitch"] * 3)), HOW)
    assert value(figures, "cue", "Cohen")["value"] == pytest.approx(0)


def test_one_annotator_agrees_with_nobody():
    table = annotated("Ann", ["noise", "glitch"])
    assert statistics.between(table, HOW).empty
    assert statistics.of_all(table, HOW).empty
    assert statistics.within(table, HOW).empty
    assert statistics.between(table.head(0), HOW).empty


def test_what_only_one_judged_is_left_out():
    table = both(annotated("Ann", ["noise", "glitch", None]), annotated("Bob", ["noise", None, "glitch"]))
    assert value(statistics.between(table, HOW), "cue", "same answer")["n"] == 1
    assert statistics.between(both(annotated("Ann", ["noise", None]), annotated("Bob", [None, "noise"])), HOW).empty


def test_segments_and_frames_in_closed_form():
    first = annotated("Ann", ["noise"] * 4, regions=[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (2.0, 3.0)])
    second = annotated("Bob", ["noise"] * 4, regions=[(0.0, 1.0), (0.0, 2.0), (0.0, 2.5), (0.0, 1.0)])
    figures = statistics.between(both(first, second), HOW, {f"E_{at}": 4.0 for at in range(4)})
    assert value(figures, "region", "F1")["value"] == pytest.approx(0.5)  # 2 of 4 marks of each overlap by half
    assert value(figures, "region", "overlap")["value"] == pytest.approx((1 + 0.5 + 0.4 + 0) / 4)
    centre_s = SSL_CLOCK.centre_s(SSL_CLOCK.n_frames(64_000))
    masks = [
        np.concatenate([(row.start_s <= centre_s) & (centre_s < row.end_s) for row in table.itertuples()])
        for table in (first, second)
    ]
    assert value(figures, "region", "frame")["value"] == pytest.approx(cohen_kappa_score(*masks))


def test_a_mark_against_none_is_a_miss():
    first, second = annotated("Ann", ["noise", "noise"]), annotated("Bob", ["noise", "noise"])
    second.loc[0, ["start_s", "end_s"]] = np.nan
    figures = statistics.between(both(first, second), HOW)
    assert value(figures, "region", "F1")["value"] == pytest.approx(2 / 3)
    assert value(figures, "region", "F1")["n"] == 2


def test_alpha_is_that_of_the_literature():
    """Three coders and fifteen units, an example that is often computed: nominal alpha is 0.691."""
    nan = None
    coders = [
        [nan, nan, nan, nan, nan, 3, 4, 1, 2, 1, 1, 3, 3, nan, 3],
        [1, nan, 2, 1, 3, 3, 4, 3, nan, nan, nan, nan, nan, nan, nan],
        [nan, nan, 2, 1, 3, 4, 4, nan, 2, 1, 1, 3, 3, nan, 4],
    ]
    names = list(CUES)
    tables = [
        annotated(f"coder {at}", [None if code is None else names[code] for code in codes])
        for at, codes in enumerate(coders)
    ]
    figures = value(statistics.of_all(both(*tables), HOW), "cue", "Krippendorff")
    assert figures["value"] == pytest.approx(0.691358, abs=1e-6)
    assert (figures["n"], figures["annotators"]) == (12, 3)


def test_ordinal_alpha_forgives_near_misses():
    cues = ["noise"] * 8
    near = both(annotated("Ann", cues, [1, 2, 3, 4, 5, 1, 2, 3]), annotated("Bob", cues, [2, 3, 4, 5, 4, 2, 3, 4]))
    far = both(annotated("Ann", cues, [1, 2, 3, 4, 5, 1, 2, 3]), annotated("Bob", cues, [5, 5, 5, 1, 1, 5, 5, 1]))
    values = [value(statistics.of_all(table, HOW), "locality", "Krippendorff")["value"] for table in (near, far)]
    assert values[0] > 0.5 > 0 > values[1]


def test_fleiss_in_closed_form():
    """Three annotators, two cues: P = (1 + 1 + 1/3 + 1/3) / 4, p = 1/2 each, so kappa = (2/3 - 1/2) / (1/2)."""
    cues = [
        ["noise", "glitch", "noise", "glitch"],
        ["noise", "glitch", "noise", "glitch"],
        ["noise", "glitch", "glitch", "noise"],
    ]
    tables = [annotated(f"coder {at}", labels) for at, labels in enumerate(cues)]
    figures = value(statistics.of_all(both(*tables), HOW), "cue", "Fleiss")
    assert figures["value"] == pytest.approx(1 / 3)


def test_self_agreement_takes_repeats_and_their_decoys():
    first = both(annotated("Ann", ["noise", "glitch"]), annotated("Ann", ["unclear", "unclear"], decoy=True))
    again = both(annotated("Ann", ["noise"], repeat=True), annotated("Ann", ["noise"], decoy=True, repeat=True))
    figures = statistics.within(both(first, again), HOW)
    assert value(figures, "cue", "same answer")["value"] == 0.5
    assert set(figures["second"]) == {"Ann, repeated"}
    assert value(figures, "cue", "same answer")["n"] == 2


def test_only_what_was_said_last_counts():
    old = annotated("Ann", ["noise"], item="open/E_0", changed_at="2026-01-01")
    new = annotated("Ann", ["glitch"], item="blind/E_0", changed_at="2026-01-02")
    figures = statistics.between(both(new, old, annotated("Bob", ["glitch"])), HOW)
    assert value(figures, "cue", "same answer")["value"] == 1
    assert value(figures, "cue", "same answer")["n"] == 1


def test_guesses_from_the_class_of_the_top_region():
    table = annotated("Ann", ["silence", "phoneme", "glitch", "phoneme", "noise"])
    regions = pd.DataFrame(
        {
            "utterance": [f"E_{at}" for at in range(5)],
            "detector": "sls",
            "segment_class": ["pause", "vowel", "vowel", "trailing", "unknown"],
        }
    )
    figures = statistics.guessed(table, regions)
    assert figures["guess"].tolist() == ["silence", "phoneme", "phoneme", "silence"]
    rows = statistics.guess_agreement(figures, HOW).set_index("statistic")
    assert rows.loc["same answer", ["n", "value"]].tolist() == [4, 0.5]
    pairs = (figures["guess"].tolist(), figures["cue"].tolist())
    assert rows.loc["Cohen's kappa", "value"] == pytest.approx(cohen_kappa_score(*pairs))
    assert statistics.guess_agreement(figures.head(0), HOW).empty


# judgements of one annotator --------------------------------------------------------------------------------


def rows(cues, detector="sls", **changed):
    """An utterance for each cue: marks from 1 to 2 s, locality 4, audible."""
    common = {"annotator": "Ann", "detector": detector, "start_s": 1.0, "end_s": 2.0, "locality": 4, "audible": True}
    return conformed([row_of(common | {"utterance": f"E_{at}", "cue": cue} | changed) for at, cue in enumerate(cues)])


def test_shares_count_labels_and_leave_out_decoys_repeats_and_the_unlabelled():
    table = pd.concat(
        [
            rows(["noise", "noise", "noise", "glitch", None]),
            rows(["breath"], decoy=True),
            rows(["breath"], repeat=True),
            rows(["silence", "silence"], detector="aasist"),
        ],
        ignore_index=True,
    )
    figures = statistics.cue_shares(table, HOW).set_index(["detector", "cue"])
    assert len(figures) == 2 * len(CUES)
    assert figures.loc[("sls", "noise"), ["n", "labels", "share"]].tolist() == [3, 4, 0.75]
    assert figures.loc[("sls", "breath"), "n"] == 0
    noise = figures.loc[("sls", "noise")]
    assert noise["low"] < 0.75 < noise["high"]


def test_a_share_that_no_round_changes_has_the_interval_of_as_many_draws_as_utterances():
    figures = statistics.cue_shares(rows(["silence"] * 5), HOW).set_index("cue")
    for cue, n in (("silence", 5), ("noise", 0)):
        assert figures.loc[cue, ["low", "high"]].tolist() == pytest.approx(proportion_confint(n, 5, method="wilson"))
    speakers = rows(["silence"] * 5).assign(speaker=["a", "a", "a", "b", "b"])
    figures = statistics.cue_shares(speakers, HOW).set_index("cue")
    assert figures.loc["silence", "low"] == pytest.approx(proportion_confint(2, 2, method="wilson")[0])


def test_utterances_of_a_speaker_are_drawn_together():
    table = rows(["noise"] * 4 + ["glitch"] * 4)
    alone = statistics.cue_shares(table, HOW).set_index("cue").loc["noise"]
    together = statistics.cue_shares(table.assign(speaker=["a"] * 4 + ["b"] * 4), HOW).set_index("cue").loc["noise"]
    assert (together["low"], together["high"]) == (0, 1)
    assert 0 < alone["low"] < alone["high"] < 1
    two_stage = statistics.cue_shares(
        table.assign(speaker=["a"] * 4 + ["b"] * 4, recording=[*"abcdefgh"]), Resampling(rounds=200, recordings=True)
    )
    assert len(two_stage) == len(CUES)


def test_one_utterance_has_no_interval():
    figures = statistics.cue_shares(rows(["noise"]), HOW).set_index("cue")
    assert figures.loc["noise", "share"] == 1
    assert figures[["low", "high"]].isna().all(axis=None)


def test_shares_by_label_and_of_nothing():
    table = with_protocol(
        rows(["noise", "glitch"]), pd.DataFrame({"utterance": ["E_0", "E_1"], "key": ["spoof", "bonafide"]})
    )
    figures = statistics.cue_shares(table, HOW, by=("detector", "key"))
    assert figures.query("n == 1")[["key", "cue", "share"]].to_numpy().tolist() == [
        ["spoof", "noise", 1.0],
        ["bonafide", "glitch", 1.0],
    ]
    assert statistics.cue_shares(rows([]), HOW).empty
    assert statistics.judgements(rows([]), HOW).empty
    assert statistics.overlaps(rows([]), HOW).empty
    assert statistics.decoys(rows([]), HOW).empty


def test_judgements_are_means_over_marks_with_a_cue():
    table = rows(["noise", "noise", None])
    table.loc[1, ["locality", "audible"]] = [2, False]
    figures = statistics.judgements(table, HOW).set_index("what")
    assert figures["value"].to_dict() == {"locality": 3.0, "audible": 0.5}
    assert figures["n"].to_dict() == {"locality": 2, "audible": 2}


def test_overlap_stands_beside_that_of_different_utterances():
    first, second = rows(["noise"] * 3), rows(["noise"] * 3, detector="aasist")
    first[["start_s", "end_s"]] = second[["start_s", "end_s"]] = [[-0.5, 1], [1, 2], [2, 3]]
    second.loc[2, ["start_s", "end_s"]] = [2.5, 3.5]
    (figures,) = statistics.overlaps(pd.concat([first, second], ignore_index=True), HOW).to_dict("records")
    assert (figures["first"], figures["second"], figures["n"], figures["apart"]) == ("sls", "aasist", 3, 0)
    assert figures["overlap"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert figures["chance"] == 0
    assert figures["above"] == pytest.approx(figures["overlap"])


def test_chance_is_over_pairs_of_different_utterances_only():
    table = pd.concat([rows(["noise"] * 3, detector=name) for name in ("sls", "aasist")], ignore_index=True)
    (figures,) = statistics.overlaps(table, HOW).to_dict("records")
    assert (figures["overlap"], figures["chance"], figures["above"]) == (1, 1, 0)


def test_decoys_are_compared_with_real_regions_of_the_same_items():
    real = rows(["noise", "noise", "glitch", "unclear", "noise"])
    decoy = rows(["unclear", "unclear", "noise", "unclear"], decoy=True, audible=False, locality=1)
    figures = statistics.decoys(pd.concat([real, decoy], ignore_index=True), HOW).set_index("what")
    cue = figures.loc["cue"]
    assert cue[["n_real", "n_decoy", "real", "decoy", "difference"]].tolist() == [4, 4, 0.75, 0.25, 0.5]
    assert cue["low"] <= 0.5 <= cue["high"]
    assert figures.loc["audible", ["real", "decoy"]].tolist() == [1, 0]
    assert figures.loc["locality", "difference"] == 3
    assert np.isnan(figures.loc["locality", "low"])
