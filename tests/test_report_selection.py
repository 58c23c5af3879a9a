"""Groups, strata and chosen utterances as pages show them."""

import pandas as pd
import pytest

from sslig.report import selection
from sslig.selection import Stratum, select
from sslig.stats.consensus import CONFIDENTLY_RIGHT, CONFIDENTLY_WRONG, GROUPS, MIDDLE_RIGHT, MIXED


@pytest.fixture
def groups():
    """Two detectors on four bona fide and four spoofs; right together on one in two, wrong together on one in four."""
    found = [
        MIDDLE_RIGHT,
        MIDDLE_RIGHT,
        CONFIDENTLY_WRONG,
        MIXED,
        CONFIDENTLY_RIGHT,
        MIDDLE_RIGHT,
        MIXED,
        CONFIDENTLY_WRONG,
    ]
    return pd.DataFrame({
        "utterance": [f"E_{number}" for number in range(8)], "key": ["bonafide"] * 4 + ["spoof"] * 4,
        "attack": ["-"] * 4 + ["A01", "A01", "A02", "A02"], "codec": ["-", "C05"] * 4, "speaker": ["S0", "S1"] * 4,
        "group": found, "n_right": [2, 2, 0, 1, 2, 2, 1, 0], "n_confident": [0, 0, 2, 1, 2, 0, 1, 2],
        "spoof_rank": [0.125 * (number + 1) for number in range(8)], "verdict_aasist": found, "verdict_sls": found,
    })  # fmt: skip


STRATA = (
    Stratum("right spoof", "spoof", CONFIDENTLY_RIGHT, per_attack=1),
    Stratum("right bona fide", "bonafide", MIDDLE_RIGHT, n=1, distinct="speaker"),
    Stratum("lost", "bonafide", CONFIDENTLY_RIGHT, n=3),
)


def test_every_group_is_counted_by_class(groups):
    found = selection.group_counts(groups).set_index("group")
    assert found.index.tolist() == list(GROUPS)
    assert found.loc[MIDDLE_RIGHT].tolist() == [2, 50, 1, 25]
    assert found.loc[CONFIDENTLY_RIGHT].tolist() == [0, 0, 1, 25]


def test_a_small_set_is_told_what_it_cannot_have(groups):
    note = selection.group_note(groups)
    assert "that is 0.0 of the 4 bona fide and 0.0 of the 4 spoof utterances" in note
    assert "so no bona fide and spoof utterance can be confidently wrong here" in note
    assert "No bona fide utterance is confidently right by both detectors" in note
    assert "one spoof utterance is enough" in note
    assert "No spoof utterance" not in note


def test_a_large_set_is_not(groups):
    many = pd.concat([groups.assign(group=CONFIDENTLY_RIGHT)] * 500)
    assert selection.group_note(many).endswith("2.0 of the 2,000 spoof utterances.")
    two = selection.group_note(pd.concat([groups] * 500))
    assert "3 spoofs are enough" in two


def test_strata_are_shown_with_what_they_found(groups):
    chosen, shortages = select(groups, STRATA, seed=0)
    found = selection.strata_table(STRATA, chosen, shortages)
    assert found["asks for"].tolist() == ["1 of each attack", "1", "3"]
    assert found["found"].tolist() == [1, 1, 0]
    assert found["lacks"].tolist() == [1, 0, 3]
    assert found["distinct"].tolist() == ["", "speaker", ""]
    assert selection.shortage_note(shortages) == (
        "Short are 2 strata, which took what is there: *right spoof* found 0 of 1 for A02; *lost* found 0 of 3."
    )
    assert selection.answer(groups, chosen, STRATA, shortages) == (
        "**Answer.** Of 8 utterances both detectors are right on 50 % and wrong on 25 %; of 75 % they say the same "
        "with the same confidence. 2 utterances of 2 of 3 strata are worth listening to; 2 strata are short."
    )


def test_nothing_short_and_one_detector(groups):
    alone = groups.drop(columns="verdict_sls").assign(n_right=groups["n_right"] // 2)
    chosen, shortages = select(alone, STRATA[1:2], seed=0)
    assert selection.shortage_note(shortages) == "No stratum is short."
    text = selection.answer(alone, chosen, STRATA[1:2], shortages)
    assert "the detector is right on 50 % and wrong on 50 %." in text
    assert text.endswith("no stratum is short.")


def test_the_chosen_carry_their_reason(groups):
    chosen, _ = select(groups, STRATA, seed=0)
    rows = selection.reasons(chosen).set_index("reason")
    assert rows.loc["right spoof", ["utterance", "right", "confident", "rank (%)"]].tolist() == [
        "E_4", "2 of 2", "2 of 2", 62.5
    ]  # fmt: skip
    files = {name: f"{name}.flac" for name in groups["utterance"]}
    heard = selection.examples(chosen, files)
    assert heard["right spoof: E_4, A01, rank 62 %"] == ["E_4.flac"]
    assert len(heard) == 2
