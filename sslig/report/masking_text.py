"""What masks say in sentences: which cues a detector needs more than a random place of the same size."""

import pandas as pd

from sslig.cues import effects
from sslig.cues.interventions import PAPER
from sslig.report.display import listed
from sslig.report.evaluation import FEW_SPEAKERS
from sslig.report.masking import STATISTIC
from sslig.study import Study

NAMED = 3
"""Masks that a sentence names before it counts the rest."""

COUNTS = ["n_bonafide", "n_spoof", "n_speakers"]

SCORE_CHANGES = ("bonafide_change", "spoof_change")

EFFECTS = {
    "separation": "the separation",
    "eer": "the EER",
    "bonafide_change": "the bona fide scores",
    "spoof_change": "the spoof scores",
}
"""Statistic -> how a verdict calls it."""


def answer(table: pd.DataFrame) -> str:
    """The page's answer: what each detector needs, and what moves its scores, beyond the random control."""
    tested = table[(table["tested"] == "excess")]
    said = []
    for name, part in tested.groupby("detector", sort=False):
        lost = part[(part["statistic"] == STATISTIC) & part["supported"] & (part["excess"] < 0)].sort_values("excess")
        named = [f"`{row.mask}` ({row.excess:+.2f})" for row in lost.head(NAMED).itertuples()]
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        moved = part[part["statistic"].isin(SCORE_CHANGES) & part["supported"]]["mask"].nunique()
        needs = f"needs {listed(named)}{more}" if named else "needs none of them beyond doubt"
        said.append(f"{name} {needs} ({moved} move its scores)")
    return (
        f"**Answer.** Of {tested['mask'].nunique()} cues that were taken away and compared with as much taken away "
        f"elsewhere: {'; '.join(said)}. To need a cue is to lose separation of the classes without it, counted in "
        "standard deviations of the unmasked scores."
    )


def verdicts(table: pd.DataFrame) -> str:
    """Which conclusions the numbers carry and which they do not, for the masks of the paper and the explanations."""
    masks_of_table = table["mask"].unique().tolist()
    named = [name for name in masks_of_table if name in PAPER or "attribution" in name]
    return "\n".join(f"- `{mask}`: {_verdict(table[table['mask'] == mask])}" for mask in named)


def _verdict(rows: pd.DataFrame) -> str:
    """What one mask did to the detectors, in sentences."""
    tested = rows["tested"].iloc[0]
    beyond = "beyond the control" if tested == "excess" else "against the unmasked scores; it has no control"
    said = []
    for statistic, what in EFFECTS.items():
        part = rows[rows["statistic"] == statistic].set_index("detector")[["supported", tested]]
        for sign, verb in ((-1, "lowers"), (1, "raises")):
            names = part.index[part["supported"] & (sign * part[tested] > 0)].tolist()
            if names:
                said.append(f"it {verb} {what} of {listed(names)}")
    return f"{'; '.join(said)} ({beyond})." if said else "no effect on any detector is supported."


def paper_note(told: pd.DataFrame) -> str:
    """How many of the masks of a `sslig.report.masking.mask_table` are those of the paper."""
    n_paper = int((told["paper"] != "").sum())
    return f"Masks of this study: {len(told)}, among them {n_paper} of the {len(PAPER)} of the paper."


def unmasked_note(table: pd.DataFrame) -> str:
    """What the scores are without a mask, on how many utterances, and what the rates mean.

    Where a mask was applied to fewer utterances, such as those that are explained, it says to how many.
    """
    eers = table[table["statistic"] == "eer"]  # a row a detector, seed and mask
    most_first = (-(eers["n_bonafide"] + eers["n_spoof"])).argsort(kind="stable")
    eers = eers.iloc[most_first]
    (_, all_of_them), *fewer = eers.groupby(COUNTS, sort=False)
    unmasked = eers.drop_duplicates("detector").set_index("detector")["unmasked"]
    said = [f"{name} {100 * unmasked[name]:.0f} %" for name in table["detector"].unique()]
    n_runs = len(eers[["detector", "seed"]].drop_duplicates())
    under = "".join(f" Under {_under(rows, n_runs)} it is {_of(rows)}." for _, rows in fewer)
    return (
        f"{_of(all_of_them)} were masked.{under} Unmasked EER on the most that were masked: {listed(said)}. FAR is the "
        "rate of spoofs accepted as bona fide, FRR that of bona fide rejected, both at the threshold of the unmasked "
        "EER of the same utterances."
    )


def _of(rows: pd.DataFrame) -> str:
    n_bonafide, n_spoof, n_speakers = rows[COUNTS].iloc[0]
    return f"{n_bonafide} bona fide and {n_spoof} spoofs of {n_speakers} speakers"


def _under(rows: pd.DataFrame, n_runs: int) -> str:
    """The masks of some rows, a row a detector, seed and mask, and of which detectors where not of all `n_runs`."""
    named = [
        f"`{mask}`" + ("" if len(part) == n_runs else f" (of {listed(part['detector'].unique().tolist())})")
        for mask, part in rows.groupby("mask", sort=False)
    ]
    return listed(named) if len(named) <= NAMED else f"{', '.join(named[:NAMED])} and {len(named) - NAMED} more"


def interval_note(study: Study, table: pd.DataFrame, masked: pd.DataFrame) -> str:
    """What intervals and tests rest on, and how far to trust them.

    Parameters
    ----------
    study
        Its bootstrap.
    table
        Of `sslig.report.masking.effect_table`.
    masked
        The scores it was made of, with ``recording``.
    """
    rounds, tests = study.masking.rounds, int((table["statistic"] == STATISTIC).groupby(table["seed"]).sum().max())
    recordings = study.evaluation.resample_recordings
    what = "speakers and, within each, recordings" if recordings else "speakers"
    n_units = _fewest_units(table, masked, ["speaker", "recording"] if recordings else ["speaker"])
    few = (
        f" {rounds:,} rounds are too few for that many tests of a mask on {n_units} "
        f"{'recordings' if recordings else 'speakers'}, the fewest of any: nothing could be supported by itself."
        if n_units < 2 or rounds < effects.rounds_needed(tests, n_units) else ""
    )  # fmt: skip
    return (
        f"Intervals are 95 % percentile intervals of {rounds:,} bootstrap rounds over {what}, the same draw for "
        f"unmasked, masked and control scores. A dot marks what remains below {effects.ALPHA:g} after Holm's "
        f"correction for {tests} tests, which is every mask on every detector.{few} Each control is the mean of "
        f"{study.masking.draws} draws.{_few_speakers(table)}"
    )


def _fewest_units(table: pd.DataFrame, masked: pd.DataFrame, unit: list[str]) -> int:
    """What the bootstrap draws, recordings or speakers, under the mask that was applied to the fewest."""
    mask = ["detector", "seed", "mask"]
    units = masked[masked["mask"].isin(table["mask"])].drop_duplicates([*mask, *unit])
    return int(units.groupby(mask).size().min())


def _few_speakers(table: pd.DataFrame) -> str:
    """The warning of `sslig.report.evaluation.interval_note`, in terms of what is supported."""
    fewest, most = int(table["n_speakers"].min()), int(table["n_speakers"].max())
    if fewest >= FEW_SPEAKERS:
        return ""
    n_speakers = f"{most} speakers" if fewest == most else f"{fewest} to {most} speakers, as the mask has it,"
    return (
        f" With {n_speakers} intervals and tests say little about other speakers: *supported* speaks for recordings "
        "of these speakers, not of others. Read the intervals as the uncertainty over recordings, and expect the true "
        "ones to be wider."
    )
