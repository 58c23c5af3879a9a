"""Whether the pictures can be trusted, in sentences: the answer of the page, detector by detector."""

from collections.abc import Sequence

import pandas as pd

from sslig.report.evaluation import FEW_SPEAKERS
from sslig.report.validation import Planted
from sslig.report.validation_choice import Choice
from sslig.report.validation_faithful import REPLACED
from sslig.report.validation_localisation import EXPLANATION, MEASURE, RIVAL, of_default
from sslig.study import Study
from sslig.validation.replacement import FEATURES

CURVES = {"deletion_area": "taking away", "insertion_area": "bringing back"}


def answer(
    planted: Planted, found: pd.DataFrame, faithful: pd.DataFrame, choices: Sequence[Choice], method: str
) -> str:
    """The page's answer.

    Parameters
    ----------
    planted, found
        As of `sslig.report.validation` and `sslig.report.validation_localisation.summary`.
    faithful
        As of `sslig.report.validation_faithful.faithful_of`.
    choices
        As of `sslig.report.validation_choice.choices`.
    method
        The default, about which is told.
    """
    said = [_of_detector(name, planted, found, faithful, method) for name in faithful["detector"].unique()]
    return f"**Answer.** {_opening(planted)} {' '.join(said)} {_closing(choices)}"


def _opening(planted: Planted) -> str:
    n, learnt, decided = (int(size) for size in (len(planted.about), *planted.about[["learnt", "decided"]].sum()))
    if not n:
        return "No cues are planted in this study, so no truth is known; only whether scores follow the maps is tested."
    if not learnt:
        return "No detector has learnt to detect a planted cue, so whether maps find what decides is not known here."
    verb = "is" if learnt == 1 else "are"
    tested = "there maps can be tested" if decided else "so that maps of none can be tested"
    return (f"{learnt} of {n} pairs of detector and planted kind of cue {verb} learnt, {decided} of them decided at "
            f"the place of the cue: {tested}.")  # fmt: skip


def _of_detector(
    detector: str, planted: Planted, found: pd.DataFrame, faithful: pd.DataFrame, method: str
) -> str:  # fmt: skip
    return f"**{detector}**: {_places(detector, planted, found, method)}{_follows(detector, faithful, method)}"


def _places(detector: str, planted: Planted, found: pd.DataFrame, method: str) -> str:
    """Whether the maps of a method find the planted places, beside the best method and the best plain map."""
    if not planted.about["learnt"].any():
        return ""
    about = planted.about[planted.about["detector"] == detector]
    if not about["learnt"].any():
        return "it has learnt none of the kinds; "
    if not about["decided"].any():
        return "what it has learnt it does not decide at the place of the cue; "
    own = of_default(found[(found["detector"] == detector) & found["decided"] & (found["statistic"] == MEASURE)])
    means = own.groupby(["group", "method"])["value"].mean()
    first = f"the best method is `{means[EXPLANATION].idxmax()}` ({means[EXPLANATION].max():.2f})"
    if RIVAL in means.index.get_level_values("group"):
        first += f" and the best plain map `{means[RIVAL].idxmax()}` ({means[RIVAL].max():.2f})"
    of_method = own[own["method"] == method]
    if of_method.empty:
        return f"{first} by mean ROC-AUC; "
    return (f"maps by `{method}` point at the place beyond chance in {int(of_method['supported'].sum())} of "
            f"{len(of_method)} kinds (mean ROC-AUC {of_method['value'].mean():.2f}); {first}; ")  # fmt: skip


def _follows(detector: str, faithful: pd.DataFrame, method: str) -> str:
    """Whether the score follows what a method names, more than it follows shifts of the same map."""
    own = faithful[(faithful["detector"] == detector) & (faithful["method"] == method)]
    own = own[(own["space"] == FEATURES) & (own["replacement"] == REPLACED) & (own["aggregation"] == "signed")]
    told = own.drop_duplicates("statistic").set_index("statistic")["supported"]
    known = {name: words for name, words in CURVES.items() if name in told}
    if not known:
        return f"`{method}` was not tested on its own scores."
    held = [words for name, words in known.items() if told[name]]
    missed = [words for name, words in known.items() if not told[name]]
    says = f"what `{method}` names moves its score more than the control does"
    if not held:
        return f"neither {' nor '.join(missed)} {says}, beyond doubt." if len(missed) > 1 else (
            f"{missed[0]} {says} is not beyond doubt."
        )  # fmt: skip
    return f"{' and '.join(held)} {says}" + (f", {missed[0]} it not beyond doubt." if missed else ".")


def _closing(choices: Sequence[Choice]) -> str:
    first = choices[0]
    if first.chosen is None:
        return "The evidence names no default method."
    tied = int(first.candidates["tied"].sum()) - 1
    apart = f", not told apart from {tied} other{'s' if tied > 1 else ''}" if tied else ""
    return f"The default that the table names is `{first.chosen}`{apart}."


def interval_note(study: Study, planted: Planted) -> str:
    """What was resampled for the intervals, and how far they carry."""
    units = "speakers and, within each, recordings" if study.evaluation.resample_recordings else "speakers"
    text = (
        f"Intervals are 95 % percentile intervals of {study.validation.rounds:,} bootstrap rounds over {units}. They "
        "are not corrected for the number of cells: of twenty numbers at chance one may stand out."
    )
    n_speakers = 0 if planted.table.empty else planted.table["speaker"].nunique()
    if 0 < n_speakers < FEW_SPEAKERS:
        text += (f" With {n_speakers} speakers they speak for other recordings of these speakers; for other speakers "
                 "expect wider ones.")  # fmt: skip
    return text
