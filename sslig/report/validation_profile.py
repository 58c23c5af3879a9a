"""What the top regions of explanations are: what is said there, how long, how local and how audible they are."""

from collections.abc import Sequence

import pandas as pd

from sslig import stages
from sslig.corpora.protocol import NONE
from sslig.cues.cue_tally import MEANS
from sslig.report.artefact_text import DOT, interval
from sslig.report.display import listed
from sslig.stages.profiled import profile_left_out, profile_summary
from sslig.study import Study

HEADINGS = {
    "effective_frames": ("frames with as much evidence as all", 1, 0),
    "effective_share": ("the same, of all frames (%)", 100, 0),
    "gini": ("Gini index", 1, 2),
    "regions": ("top regions of an utterance", 1, 1),
    "region_duration_s": ("their duration (ms)", 1000, 0),
    "above_floor_db": ("their level over the noise floor (dB)", 1, 1),
    "in_regions": ("evidence they hold (%)", 100, 0),
    "for_spoof": ("of that for spoof (%)", 100, 0),
}
"""Measure of `sslig.cues.cue_tally.MEANS` -> heading, factor, decimals."""

BY = ("attack", "codec")
NAMED = 3


def profile_of(study: Study, detectors: Sequence[str], seed: int, by: Sequence[str] = ()) -> pd.DataFrame:
    """The cue profile of each detector (`sslig.cues.cue_tally.summary`), on request by attack, codec ... too."""
    found = profile_summary(study, seed, ("detector", *by), detectors)
    order = found["detector"].map(list(detectors).index)
    return found.assign(order=order).sort_values("order", kind="stable", ignore_index=True).drop(columns="order")


def locality_table(found: pd.DataFrame) -> pd.DataFrame:
    """Locality, duration and audibility of the top regions: a row a measure, a column a detector."""
    own = found[found["measure"].isin(MEANS)]
    text = [_text(row, *HEADINGS[row.measure][1:]) for row in own.itertuples()]
    wide = own.assign(text=text).pivot(index="measure", columns="detector", values="text")
    wide = wide.loc[list(HEADINGS), list(dict.fromkeys(own["detector"]))]
    return wide.rename(index={name: heading for name, (heading, _, _) in HEADINGS.items()}).rename_axis(
        index="of the explanations", columns=None
    ).reset_index()  # fmt: skip


def class_table(found: pd.DataFrame) -> pd.DataFrame:
    """Evidence in top regions over share of time by class of segments: a row a class, a column a detector."""
    own = relative(found)
    text = [_text(row, 1, 2) + (DOT if beyond(row) else "") for row in own.itertuples()]
    wide = own.assign(text=text).pivot(index="segment_class", columns="detector", values="text").fillna("")
    time = found[found["measure"] == "time_share"].groupby("segment_class")["value"].mean()
    wide = wide.loc[list(dict.fromkeys(own["segment_class"])), list(dict.fromkeys(own["detector"]))]
    wide.insert(0, "time (%)", [f"{100 * time[name]:.1f}" for name in wide.index])
    return wide.rename_axis(index="class", columns=None).reset_index()


def relative(found: pd.DataFrame) -> pd.DataFrame:
    """The ratios of evidence to time, classes of the most time first; those of no time are left out."""
    own = found[(found["measure"] == "relative") & found["value"].notna()]
    time = found[found["measure"] == "time_share"].groupby("segment_class")["value"].mean()
    order = own["segment_class"].map(time).fillna(0.0)
    return own.assign(order=-order).sort_values(["order", "segment_class"], kind="stable", ignore_index=True).drop(
        columns="order"
    )  # fmt: skip


def group_table(study: Study, detectors: Sequence[str], seed: int, by: str) -> pd.DataFrame:
    """For each attack, or codec: how local evidence is, and the classes that it exceeds its share of time in most.

    Empty where the study has one only.
    """
    found = profile_of(study, detectors, seed, [by])
    if found[by].nunique() < 2:
        return pd.DataFrame()
    rows = []
    for (detector, name), part in found.groupby(["detector", by], sort=False):
        values = part[part["segment_class"] == ""].set_index("measure")["value"]
        nothing = "bona fide" if by == "attack" else "none"
        rows.append({
            "detector": detector, by: nothing if name == NONE else name,
            "n": int(part["n"].max()), "Gini": f"{values['gini']:.2f}",
            "ms": f"{1000 * values['region_duration_s']:.0f}", "over floor (dB)": f"{values['above_floor_db']:.1f}",
            "most over their share of time": _strongest(part) or "none beyond doubt",
        })  # fmt: skip
    return pd.DataFrame(rows)


def _strongest(part: pd.DataFrame) -> str:
    own = part[(part["measure"] == "relative") & (part["low"] > 1) & (part["low"] < part["high"])].sort_values(
        "value", ascending=False, kind="stable"
    )
    return ", ".join(f"{row.segment_class} ({row.value:.1f})" for row in own.head(NAMED).itertuples())


def profile_note(found: pd.DataFrame) -> str:
    """In which classes the top regions of each detector lie more often than any frames would."""
    said = []
    for detector, part in found.groupby("detector", sort=False):
        named = _strongest(part)
        said.append(f"{detector}: {named or 'in no class beyond doubt'}")
    return f"More evidence than time, with an interval above 1 (times its share of time): {'; '.join(said)}."


def set_note(study: Study, detectors: Sequence[str], seed: int, found: pd.DataFrame) -> str:
    """How many utterances were profiled, and how many could not be read."""
    counts = found.groupby("detector", sort=False)["n"].max()
    left_out = {name: len(profile_left_out(study, name, seed)) for name in detectors}
    unread = [f"{n} by {name}" for name, n in left_out.items() if n]
    return (
        f"{int(counts.min()):,} utterances of *{stages.EXPLAINED_SET}* are profiled"
        + (f"; not read: {listed(unread)}" if unread else "") + "."
    )  # fmt: skip


def beyond(row) -> bool:
    """Whether an interval does not hold 1; one without width was drawn from nothing and is none."""
    return bool(row.low < row.high and (row.low > 1 or row.high < 1))


def _text(row, factor: float, decimals: int) -> str:
    if pd.isna(row.low):
        return "" if pd.isna(row.value) else f"{factor * row.value:.{decimals}f}"
    return interval(factor * row.value, factor * row.low, factor * row.high, decimals)
