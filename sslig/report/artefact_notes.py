"""What the numbers of the artefact page say, in sentences."""

from collections.abc import Sequence

import pandas as pd

from sslig.cues import shortcuts
from sslig.cues.effects import ALPHA
from sslig.report.artefact_text import NOTHING, WORDS, span
from sslig.report.artefacts import FOLDS, LINEAR, SMALLEST, WRONG
from sslig.report.display import listed


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
        if part.empty:
            said.append(f"of {word} utterances there are fewer than {SMALLEST} in a group, which is too few to compare")
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
    """The strongest correlation of each detector within a class, and whether it is beyond doubt."""
    within = correlations[correlations["key"].isin(WORDS) & correlations["spearman"].notna()]
    said = []
    for name, part in within.groupby("detector", sort=False):
        row = part.loc[part["spearman"].abs().idxmax()]
        n = int((part["p_holm"] < ALPHA).sum())
        said.append(f"{name} `{row['measure']}` ({WORDS[row['key']]}, {row['spearman']:+.2f}; {n} of {len(part)} "
                    "beyond doubt)")  # fmt: skip
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
    doubt = "" if best["p_holm"] < ALPHA else ", which chance among so many measures would explain too"
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
