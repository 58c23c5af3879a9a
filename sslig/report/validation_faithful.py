"""Whether scores follow explanations, and whether these hold still: tables of both, on the ordinary detectors."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from sslig.attribution.explanation import SIGNED
from sslig.report.artefact_text import DOT
from sslig.report.display import listed
from sslig.report.validation_cells import FAITHFULNESS, WORSE, cell, headed, wide
from sslig.stages.faithful import faithful
from sslig.stages.sane import sane, stable
from sslig.study import Study
from sslig.validation.replacement import FEATURES, PROFILES, WAVEFORM
from sslig.validation.summary import WHAT, summarise

CURVES = ("deletion", "insertion")
RANDOMISED = ("randomised_cascading", "randomised_independent")
HEADS = {"randomised_head_cascading": RANDOMISED[0], "randomised_head_independent": RANDOMISED[1]}
"""How alike the heads stay, beside which statistic of the maps."""
EXCESS = "randomised_excess_cascading"
THE_HEAD = "the head itself"
HELD_STILL = ("complexity_rise", "max_sensitivity", "shift_features", "shift_waveform", "loudness_share")
FARTHEST_SHIFT = "10 frames"
REPLACED = PROFILES[0]
"""What frames are replaced by where nothing else is said."""
RANDOM = "random"
ALIKE = {"steps": "points", "seeds": "seeds"}
"""Statistic -> what differs between the maps that are compared."""


def faithful_of(
    study: Study, detectors: Sequence[str], seed: int, methods: Sequence[str] | None = None
) -> pd.DataFrame:
    """Every statistic of faithfulness beside its control (`sslig.validation.summary.summarise`), by detector."""
    return _summary(study, pd.concat([faithful(study, name, seed, methods) for name in detectors], ignore_index=True))


def sane_of(
    study: Study, detectors: Sequence[str], seed: int, methods: Sequence[str] | None = None
) -> pd.DataFrame:
    """Every sanity check beside its control, by detector."""
    return _summary(study, pd.concat([sane(study, name, seed, methods) for name in detectors], ignore_index=True))


def stable_of(study: Study, detectors: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """How alike explanations of detectors of different seeds are, by detector; empty with a single seed."""
    own = dataclasses.replace(study, seeds=list(seeds))
    found = pd.concat([stable(own, name) for name in detectors], ignore_index=True)
    return found if found.empty else _summary(study, found)


def _summary(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Detectors and methods in the order of `table`; ``band_low`` and ``band_high`` are the ends of what the shifted
    maps of an utterance give, averaged over utterances."""
    found = summarise(
        table, ["detector"], seed=study.corpus.seed, rounds=study.validation.rounds,
        resample_recordings=study.evaluation.resample_recordings,
    )  # fmt: skip
    keys = ["detector", *(name for name in WHAT if name in table)]
    bands = {"band_low": ("control_low", "mean"), "band_high": ("control_high", "mean")}
    found = found.merge(table.groupby(keys, dropna=False).agg(**bands).reset_index(), on=keys, how="left")
    pairs = dict.fromkeys(zip(table["detector"], table["method"], strict=True))
    order = {pair: place for place, pair in enumerate(pairs)}
    places = [order[pair] for pair in zip(found["detector"], found["method"], strict=True)]
    return found.assign(order=places).sort_values("order", kind="stable", ignore_index=True).drop(columns="order")


def curve_points(found: pd.DataFrame, replacement: str = REPLACED) -> pd.DataFrame:
    """The points of the deletion and insertion curves in feature space, with ``x`` in percent of the frames."""
    own = found[found["statistic"].isin(CURVES) & (found["aggregation"] == SIGNED) & (found["space"] == FEATURES)]
    own = own[own["replacement"] == replacement]
    return own.assign(x=own["at"].astype(float))


def randomised_points(found: pd.DataFrame) -> pd.DataFrame:
    """The rank correlations with maps of shuffled heads, and of the heads, with ``x``, the number of the group."""
    own = found[found["statistic"].isin(RANDOMISED)]
    heads = found[found["statistic"].isin(HEADS)].drop_duplicates(["detector", "statistic", "at"])
    heads = heads.assign(statistic=heads["statistic"].map(HEADS), method=THE_HEAD, supported=False)
    every = pd.concat([own, heads], ignore_index=True)
    return every.assign(x=every["at"].str.split().str[0].astype(float)).sort_values("x", kind="stable")


def group_table(found: pd.DataFrame) -> pd.DataFrame:
    """Which parameters are shuffled together, by detector, from the output down."""
    own = randomised_points(found).drop_duplicates(["detector", "x"])
    text = own.assign(name=own["at"].str.split(n=1).str[1], group=own["x"].astype(int))
    return text.pivot(index="group", columns="detector", values="name").fillna("").rename_axis(
        columns=None
    ).reset_index()  # fmt: skip


def faithful_table(
    found: pd.DataFrame, detector: str, replacement: str = REPLACED, aggregation: str = SIGNED
) -> pd.DataFrame:
    """Areas, comprehensiveness, sufficiency, infidelity and sensitivity-n of one detector: a row a method."""
    own = found[(found["detector"] == detector) & (found["space"] == FEATURES) & (found["replacement"] == replacement)]
    return wide(own[own["aggregation"] == aggregation], ["method"], FAITHFULNESS)


def replacement_table(found: pd.DataFrame, statistic: str = "comprehensiveness") -> pd.DataFrame:
    """One statistic with each replacement of frames, in features and in the waveform: a row a detector and method."""
    own = found[(found["statistic"] == statistic) & (found["aggregation"] == SIGNED)]
    where = own["replacement"].where(own["space"] == FEATURES, WAVEFORM).str.replace("_", " ")
    text, keys = own.assign(where=where, text=[cell(row) for row in own.to_dict("records")]), ["detector", "method"]
    order = pd.MultiIndex.from_frame(own[keys].drop_duplicates())
    shown = text.pivot(index=keys, columns="where", values="text").loc[list(order), list(dict.fromkeys(where))]
    return headed(shown.fillna("").rename_axis(columns=None).reset_index(), "detector")


def sane_table(found: pd.DataFrame, faithful: pd.DataFrame) -> pd.DataFrame:
    """What a map has to hold still for, and what it must not be: a row a detector and method."""
    far = found[~found["statistic"].str.startswith("shift_") | (found["at"] == FARTHEST_SHIFT)]
    loud = faithful[(faithful["statistic"] == "loudness_share") & faithful["method"].isin(found["method"])]
    return headed(wide(pd.concat([far, loud], ignore_index=True), ["detector", "method"], HELD_STILL), "detector")


def alike(sane_found: pd.DataFrame, stable_found: pd.DataFrame) -> pd.DataFrame:
    """The rows of how alike maps are that differ in path points, or in the training seed."""
    parts = [part for part in (sane_found, stable_found) if len(part)]
    found = pd.concat(parts, ignore_index=True)
    return found[found["statistic"].isin(ALIKE)].reset_index(drop=True)


def alike_table(found: pd.DataFrame) -> pd.DataFrame:
    """`alike` as people read it: a row a comparison, a column a detector."""
    what = found["statistic"].map(ALIKE) + " " + found["at"]
    text = found.assign(what=what, text=[cell(row) for row in found.to_dict("records")])
    wide_text = text.pivot(index="what", columns="detector", values="text").fillna("")
    wide_text = wide_text.loc[list(dict.fromkeys(what)), list(dict.fromkeys(found["detector"]))]
    return wide_text.rename_axis(index="maps compared", columns=None).reset_index()


def alike_note(found: pd.DataFrame, seeds: Sequence[int]) -> str:
    """The lowest agreement over seeds, or that the study has one seed only."""
    own = found[found["statistic"] == "seeds"]
    if own.empty:
        return "There is one training seed, so nothing is known of how far maps depend on it." if len(seeds) < 2 else ""
    row = own.loc[own["value"].idxmin()]
    return (f"Trainings that differ in nothing but the seed agree least in {row['detector']} ({row['value']:.2f}, by "
            f"chance {row['control']:.2f}): what is not alike may be the detector, not the method.")  # fmt: skip


def curve_note(found: pd.DataFrame) -> str:
    """For each detector, which methods move the score more than their controls do, by the areas of both curves."""
    own = found[(found["space"] == FEATURES) & (found["replacement"] == REPLACED) & (found["aggregation"] == SIGNED)]
    said = []
    for detector, part in own.groupby("detector", sort=False):
        areas = part[part["statistic"].isin(["deletion_area", "insertion_area"])]
        both = areas.groupby("method", sort=False)["supported"].all()
        held = [f"`{name}`" for name in both.index[both]]
        n = len(both)
        said.append(f"{detector}: {listed(held) if held else 'no method'} ({len(held)} of {n})")
    noise = own[own["method"].eq(RANDOM) & own["statistic"].isin(["deletion_area", "insertion_area"])]
    luck = f" Of noise that holds for {int(noise['supported'].sum())} of {len(noise)} curves." if len(noise) else ""
    return f"Better than their controls on both curves, beyond doubt: {'; '.join(said)}.{luck}"


def randomised_note(found: pd.DataFrame) -> str:
    """Which maps stay more alike than the heads do when every group of parameters is shuffled."""
    own = found[found["statistic"] == EXCESS]
    number = own["at"].str.split().str[0].astype(int)
    last = own[number == number.groupby(own["detector"]).transform("max")]
    stay = last[last["advantage_high"] < 0]
    noise, others = stay[stay["method"] == RANDOM], stay[stay["method"] != RANDOM]
    named = [f"`{row.method}` of {row.detector} (by {row.value:.2f})" for row in others.itertuples()]
    known = f" Noise does for {len(noise)} of {last['detector'].nunique()} detectors: it knows no parameters, and so "\
            "the test can tell." if len(noise) else ""  # fmt: skip
    if not named:
        return f"With every group shuffled no explanation stays more alike than the head does, beyond doubt.{known}"
    return f"With every group shuffled these stay more alike than the head does, beyond doubt: {listed(named)}. So " \
           f"much of such a map does not come from what the head has learnt.{known}"  # fmt: skip


MARKS = (
    f"In parentheses stands the control, in brackets the interval of the value; {DOT.strip()} marks what is better "
    f"than the control beyond doubt, {WORSE.strip()} what is worse."
)
"""How the cells of all tables of measures are read."""
