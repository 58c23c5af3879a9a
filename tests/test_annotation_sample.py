import pandas as pd

from sslig.annotation import plan
from sslig.annotation.sample import ANNOTATORS, sample

REGIONS = pd.DataFrame(
    [(f"E_{n}", name, 0.1, 0.4, "vowel") for n in range(50) for name in ("aasist", "sls")]
    + [("E_50", "sls", float("nan"), float("nan"), "unknown")],
    columns=["utterance", "detector", "start_s", "end_s", "segment_class"],
)


def test_a_sample_says_that_it_is_simulated_and_is_the_same_for_a_seed():
    table = sample(REGIONS, 3)
    assert set(table["annotator"]) == set(ANNOTATORS)
    assert all("simulated" in name for name in ANNOTATORS)
    assert len(plan.judged(table)) == 2 * 100  # a region without evidence is not judged
    pd.testing.assert_frame_equal(table, sample(REGIONS, 3))
    assert not table["cue"].equals(sample(REGIONS, 4)["cue"])


def test_simulated_annotators_agree_in_part():
    cues = sample(REGIONS, 0).pivot(index=["utterance", "detector"], columns="annotator", values="cue")
    # Both name the shared cue in .36, and the same one of eight otherwise by chance: .36 + .64 / 8 = .44.
    assert 0.3 < (cues.iloc[:, 0] == cues.iloc[:, 1]).mean() < 0.58
