"""What the numbers of the artefact page say, in sentences."""

from collections.abc import Sequence

import pandas as pd

from sslig.cues import shortcuts
from sslig.cues.effects import ALPHA
from sslig.report.artefact_text import NOTHING, WORDS, span
from sslig.report.artefacts import FOLDS, LINEAR, SMALLEST, WRONG, compared, names, supportable, units, units_of_class
from sslig.report.display import listed
from sslig.report.evaluation import FEW_SPEAKERS
from sslig.study import Study


def interval_note(study: Study, measured: pd.DataFrame, attributions: pd.DataFrame, n_segments: int) -> str:
    """What intervals and tests rest on, how far to trust them, and which tests are too many for what there is.

    Parameters
    ----------
    measured, attributions
        Of `sslig.report.artefacts.trials` and `sslig.report.artefact_evidence.explained`.
    n_segments
        Classes of segments that are looked at.
    """
    n_speakers, second = measured["speaker"].nunique(), study.evaluation.resample_recordings
    within = f" and, within each drawn speaker, of the {units(study, measured):,} recordings" if second else ""
    few = (
        f" With {n_speakers} speakers they say little about other speakers: expect the true intervals to be wider, and "
        "read *beyond doubt* as on recordings of these speakers." if n_speakers < FEW_SPEAKERS else ""
    )  # fmt: skip
    lost = [said for said, *asked in _tests(study, measured, attributions, n_segments)
            if not supportable(study, *asked)]  # fmt: skip
    none = (
        f" There are too few to correct for that many tests of {listed(lost)}: nothing could be supported there."
        if lost else ""
    )  # fmt: skip
    return (
        f"Intervals and tests rest on bootstrap draws of the {n_speakers} speakers{within}. *Beyond doubt* is what has "
        f"a p-value below {ALPHA:g} after Holm's correction.{few}{none}"
    )


def _tests(
    study: Study, measured: pd.DataFrame, attributions: pd.DataFrame, n_segments: int
) -> list[tuple[str, int, int]]:
    """What is tested by bootstrap, in how many tests that are corrected together, and of how many units."""
    n = len(names(measured))
    errors = [(f"what is wrong of {pair[1].split(',')[0]}", n, units(study, part))
              for pair, part in compared(measured).items()]  # fmt: skip
    return [("measures alone", n, units(study, measured)), *errors,
            ("scores within a class", n, units_of_class(study, measured)),
            ("classes of segments", n_segments, units_of_class(study, attributions))]  # fmt: skip


def alone_note(found: pd.DataFrame) -> str:
    """How many measures tell the classes apart beyond doubt, and which are the strongest."""
    supported = found.loc[found["p_holm"] < ALPHA, "measure"]
    how_many = f"{len(supported)} of {len(found)} measures" if len(supported) else f"None of {len(found)} measures"
    which = f", first {listed([f'`{name}`' for name in supported[:3]])}" if len(supported) else ""
    verb = "differs" if len(supported) == 1 else "differ"
    return (
        f"{how_many} {verb} between the classes beyond doubt (p below {ALPHA:g} after Holm's correction){which}. The "
        f"strongest is {_eer(found.iloc[0])}. Vermillion means larger values in spoofs, blue in bona fide."
    )


def between_note(found: pd.DataFrame) -> str:
    """Which measures tell wrong from right in each class, and which classes could not be compared."""
    said = []
    for word in WORDS.values():
        part = found[found["group_b"] == f"{word}, {WRONG}"]
        supported = part[part["p_holm"] < ALPHA]
        if part["p_holm"].isna().all():
            said.append(f"of {word} utterances there are fewer than {SMALLEST} in a group, or all are of one speaker, "
                        "which is too few to compare")  # fmt: skip
        elif supported.empty:
            said.append(f"no measure tells the {word} utterances that all detectors get wrong from those that all get "
                        f"right beyond doubt")  # fmt: skip
        else:
            strongest = supported.loc[supported["delta"].abs().idxmax()]
            more = "larger" if strongest["delta"] > 0 else "smaller"
            said.append(f"{len(supported)} of {len(part)} measures tell the {word} utterances that all detectors get "
                        f"wrong from those that all get right, most of all `{strongest['measure']}`, which is {more} "
                        "where they are wrong")  # fmt: skip
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def score_note(correlations: pd.DataFrame) -> str:
    """The strongest correlation of each detector within a class, and how many of both classes are beyond doubt."""
    within = correlations[correlations["key"].isin(WORDS) & correlations["spearman"].notna()]
    said = []
    for name, part in within.groupby("detector", sort=False):
        row = part.loc[part["spearman"].abs().idxmax()]
        n = int((part["p_holm"] < ALPHA).sum())
        said.append(f"{name} `{row['measure']}` ({WORDS[row['key']]}, {row['spearman']:+.2f}; beyond doubt are "
                    f"{n} of the {len(part)} correlations with a measure in either class)")  # fmt: skip
    return f"Strongest within a class: {listed(said)}." if said else "No measure varies within a class."


def fit_note(fits: pd.DataFrame) -> str:
    """Which kinds of folds there are, and what an R2 below 0 means."""
    missing = [] if fits.empty else [word for name, word in FOLDS.items() if name not in set(fits["folds_of"])]
    if fits.empty or missing:
        return f"Too few {listed(missing or list(FOLDS.values()))} for folds that share none."
    n_speakers = int(fits.loc[fits["folds_of"] == "speaker", "n_groups"].min())
    few = "With two speakers, the model for one learns from the other alone, which says little about a third. "
    return f"{few if n_speakers == 2 else ''}An R2 below 0 means that the prediction is worse than the mean score."


def left_out_note(measured: pd.DataFrame, left_out: pd.DataFrame) -> str:
    """How many utterances the page rests on, and which could not be measured."""
    counted = listed([f"{(measured['key'] == key).sum():,} {word}" for key, word in WORDS.items()])
    text = f"Measured were {counted} utterances of {measured['speaker'].nunique()} speakers."
    if left_out.empty:
        return f"{text} None was left out."
    named = [f"{row.utterance} ({row.reason})" for row in left_out.head(SMALLEST).itertuples()]
    more = "" if len(left_out) <= SMALLEST else ", the first of them"
    return f"{text} **{len(left_out)} were left out**{more}: {'; '.join(named)}."


def answer(found: pd.DataFrame, fits: pd.DataFrame, evidence: Sequence[str]) -> str:
    """The page's answer: strongest measure, how far measures predict scores, and the sentences about evidence."""
    best = found.iloc[0]
    doubt = (
        ""
        if best["p_holm"] < ALPHA or pd.isna(best["eer"])
        else ", which chance among so many measures would explain too"
    )
    said = [f"**Answer.** Of {len(found)} plain measures the strongest is {_eer(best)}{doubt}."]
    ranges = [f"{span(part['r2'])} on new {FOLDS[name]}" for name, part in _linear(fits)]
    if ranges:
        of = "the detectors" if fits["detector"].nunique() > 1 else str(fits["detector"].iloc[0])
        said.append(f"A linear model of the measures alone predicts the scores of {of} with an R2 of {listed(ranges)}.")
    return " ".join([*said, *evidence])


def _linear(fits: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if fits.empty:
        return []
    part = fits[(fits["model"] == LINEAR) & (fits["key"] == shortcuts.ALL) & fits["r2"].notna()]
    return list(part.groupby("folds_of", sort=False))


def _eer(row: pd.Series) -> str:
    if pd.isna(row["eer"]):
        return NOTHING
    larger = WORDS.get(row["larger_in"])
    where = f"larger in {larger}" if larger else "larger in neither class"
    low, high = 100 * row["low"], 100 * row["high"]
    return f"`{row['measure']}` ({where}) with an EER of {100 * row['eer']:.0f} % [{low:.0f}, {high:.0f}]"
