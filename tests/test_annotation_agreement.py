"""Agreement between annotators, with themselves and with guesses: closed forms, other libraries, degenerate cases."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from sslig.annotation import agreement, guesses
from sslig.annotation.regions import intersection_over_union, marked_frames, matched
from sslig.annotation.summary import Resampling
from sslig.annotation.table import conformed, row_of
from sslig.annotation.vocabulary import CUES
from sslig.frames import SSL_CLOCK

HOW = Resampling(rounds=100)


def said(annotator, cues, locality=None, regions=None, **changed):
    """What an annotator said of one detector in an utterance for each cue."""
    locality, regions = locality or [3] * len(cues), regions or [(1.0, 2.0)] * len(cues)
    values = zip(cues, locality, regions, strict=True)
    return conformed([
        row_of({"annotator": annotator, "utterance": f"E_{at}", "detector": "sls", "cue": cue, "locality": level,
                "start_s": region[0], "end_s": region[1], "audible": True} | changed)
        for at, (cue, level, region) in enumerate(values)
    ])  # fmt: skip


def both(*tables):
    return pd.concat(tables, ignore_index=True)


def value(found, what, statistic):
    (row,) = found[(found["what"] == what) & found["statistic"].str.startswith(statistic)].to_dict("records")
    return row


def test_overlap_and_matching_of_regions():
    found = intersection_over_union([[0, 2], [5, 6]], [[1, 3], [0, 2], [7, 8]])
    np.testing.assert_allclose(found, [[1 / 3, 1, 0], [0, 0, 0]])
    # Greedy matching would pair the first with the second and leave one; the best pairs two.
    assert matched([[0, 10], [2, 10]], [[0, 10], [0, 9]], least=0.7) == 2
    assert matched([[0, 1]], [[0, 2]], least=0.5) == 1
    assert matched([[0, 1]], [[0, 2.01]], least=0.5) == 0
    assert matched([], [[0, 1]], least=0.5) == 0


def test_marked_frames_are_those_whose_centre_is_inside():
    mask = marked_frames([(0.1, 0.2)], 1.0)
    centres = SSL_CLOCK.centre_s(len(mask))
    assert mask.tolist() == [0.1 <= centre < 0.2 for centre in centres]
    assert not marked_frames([], 1.0).any()


def test_kappa_of_cues_in_closed_form():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: 0.7 observed, 0.5 by chance, kappa 0.4
    one = said("Ann", ["noise"] * 25 + ["glitch"] * 25)
    other = said("Bob", ["noise"] * 20 + ["glitch"] * 5 + ["noise"] * 10 + ["glitch"] * 15)
    found = agreement.between(both(one, other), HOW)
    kappa = value(found, "cue", "Cohen")
    assert kappa["value"] == pytest.approx(0.4)
    assert kappa["low"] < 0.4 < kappa["high"]
    assert (kappa["first"], kappa["second"], kappa["n"]) == ("Ann", "Bob", 50)
    assert value(found, "cue", "same answer")["value"] == pytest.approx(0.7)
    matrix = agreement.confusion(agreement.paired(one, other), "cue")
    assert matrix.loc[["noise", "glitch"], ["noise", "glitch"]].to_numpy().tolist() == [[20, 5], [10, 15]]
    assert matrix.shape == (8, 8)
    assert matrix.to_numpy().sum() == 50


def test_kappas_are_those_of_scikit_learn(rng):
    cues = [rng.choice(list(CUES), 60).tolist() for _ in range(2)]
    levels = [np.clip(rng.integers(1, 6, 60), 1, 5).tolist() for _ in range(2)]
    table = both(said("Ann", cues[0], levels[0]), said("Bob", cues[1], levels[1]))
    found = agreement.between(table, HOW)
    assert value(found, "cue", "Cohen")["value"] == pytest.approx(cohen_kappa_score(*cues))
    assert value(found, "locality", "Cohen")["value"] == pytest.approx(cohen_kappa_score(*levels, weights="linear"))


def test_one_answer_has_no_kappa_and_all_the_agreement():
    found = agreement.between(both(said("Ann", ["noise"] * 6), said("Bob", ["noise"] * 6)), HOW)
    assert np.isnan(value(found, "cue", "Cohen")["value"])
    assert value(found, "cue", "same answer")["value"] == 1
    of_all = agreement.of_all(both(said("Ann", ["noise"] * 6), said("Bob", ["noise"] * 6)), HOW)
    assert of_all["value"].isna().all()


def test_one_against_a_constant_answer_has_a_kappa_of_0():
    found = agreement.between(both(said("Ann", ["noise"] * 6), said("Bob", ["noise", "glitch"] * 3)), HOW)
    assert value(found, "cue", "Cohen")["value"] == pytest.approx(0)


def test_one_annotator_agrees_with_nobody():
    table = said("Ann", ["noise", "glitch"])
    assert agreement.between(table, HOW).empty
    assert agreement.of_all(table, HOW).empty
    assert agreement.within(table, HOW).empty
    assert agreement.between(table.head(0), HOW).empty


def test_what_only_one_judged_is_left_out():
    table = both(said("Ann", ["noise", "glitch", None]), said("Bob", ["noise", None, "glitch"]))
    assert value(agreement.between(table, HOW), "cue", "same answer")["n"] == 1
    assert agreement.between(both(said("Ann", ["noise", None]), said("Bob", [None, "noise"])), HOW).empty


def test_segments_and_frames_in_closed_form():
    one = said("Ann", ["noise"] * 4, regions=[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (2.0, 3.0)])
    other = said("Bob", ["noise"] * 4, regions=[(0.0, 1.0), (0.0, 2.0), (0.0, 2.5), (0.0, 1.0)])
    found = agreement.between(both(one, other), HOW, {f"E_{at}": 4.0 for at in range(4)})
    assert value(found, "region", "F1")["value"] == pytest.approx(0.5)  # 2 of 4 marks of each overlap by half
    assert value(found, "region", "overlap")["value"] == pytest.approx((1 + 0.5 + 0.4 + 0) / 4)
    masks = [
        np.concatenate([marked_frames([(row.start_s, row.end_s)], 4.0) for row in table.itertuples()])
        for table in (one, other)
    ]
    assert value(found, "region", "frame")["value"] == pytest.approx(cohen_kappa_score(*masks))


def test_a_mark_against_none_is_a_miss():
    one, other = said("Ann", ["noise", "noise"]), said("Bob", ["noise", "noise"])
    other.loc[0, ["start_s", "end_s"]] = np.nan
    found = agreement.between(both(one, other), HOW)
    assert value(found, "region", "F1")["value"] == pytest.approx(2 / 3)
    assert value(found, "region", "F1")["n"] == 2


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
        said(f"coder {at}", [None if code is None else names[code] for code in codes])
        for at, codes in enumerate(coders)
    ]
    found = value(agreement.of_all(both(*tables), HOW), "cue", "Krippendorff")
    assert found["value"] == pytest.approx(0.691358, abs=1e-6)
    assert (found["n"], found["annotators"]) == (12, 3)


def test_ordinal_alpha_forgives_near_misses():
    cues = ["noise"] * 8
    near = both(said("Ann", cues, [1, 2, 3, 4, 5, 1, 2, 3]), said("Bob", cues, [2, 3, 4, 5, 4, 2, 3, 4]))
    far = both(said("Ann", cues, [1, 2, 3, 4, 5, 1, 2, 3]), said("Bob", cues, [5, 5, 5, 1, 1, 5, 5, 1]))
    values = [value(agreement.of_all(table, HOW), "locality", "Krippendorff")["value"] for table in (near, far)]
    assert values[0] > 0.5 > 0 > values[1]


def test_fleiss_in_closed_form():
    """Three annotators, two cues: P = (1 + 1 + 1/3 + 1/3) / 4, p = 1/2 each, so kappa = (2/3 - 1/2) / (1/2)."""
    cues = [["noise", "glitch", "noise", "glitch"], ["noise", "glitch", "noise", "glitch"],
            ["noise", "glitch", "glitch", "noise"]]  # fmt: skip
    tables = [said(f"coder {at}", own) for at, own in enumerate(cues)]
    found = value(agreement.of_all(both(*tables), HOW), "cue", "Fleiss")
    assert found["value"] == pytest.approx(1 / 3)


def test_self_agreement_takes_repeats_and_their_decoys():
    first = both(said("Ann", ["noise", "glitch"]), said("Ann", ["unclear", "unclear"], decoy=True))
    again = both(said("Ann", ["noise"], repeat=True), said("Ann", ["noise"], decoy=True, repeat=True))
    found = agreement.within(both(first, again), HOW)
    assert value(found, "cue", "same answer")["value"] == 0.5
    assert set(found["second"]) == {"Ann, repeated"}
    assert value(found, "cue", "same answer")["n"] == 2


def test_only_what_was_said_last_counts():
    old = said("Ann", ["noise"], item="open/E_0", changed_at="2026-01-01")
    new = said("Ann", ["glitch"], item="blind/E_0", changed_at="2026-01-02")
    found = agreement.between(both(new, old, said("Bob", ["glitch"])), HOW)
    assert value(found, "cue", "same answer")["value"] == 1
    assert value(found, "cue", "same answer")["n"] == 1


def test_guesses_from_the_class_of_the_top_region():
    table = said("Ann", ["silence", "phoneme", "glitch", "phoneme", "noise"])
    regions = pd.DataFrame({
        "utterance": [f"E_{at}" for at in range(5)], "detector": "sls",
        "segment_class": ["pause", "vowel", "vowel", "trailing", "unknown"],
    })  # fmt: skip
    found = guesses.guessed(table, regions)
    assert found["guess"].tolist() == ["silence", "phoneme", "phoneme", "silence"]
    counts = guesses.by_class(found)
    assert counts.loc["vowel", ["phoneme", "glitch"]].tolist() == [1, 1]
    assert list(counts.columns) == list(CUES)
    rows = guesses.agreement(found, HOW).set_index("statistic")
    assert rows.loc["same cue", ["n", "value"]].tolist() == [4, 0.5]
    pairs = (found["guess"].tolist(), found["cue"].tolist())
    assert rows.loc["Cohen's kappa", "value"] == pytest.approx(cohen_kappa_score(*pairs))
    assert guesses.agreement(found.head(0), HOW).empty
