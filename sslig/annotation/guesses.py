"""What the place of a region suggests as its cue, beside what people hear there."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sslig.annotation.agreement import cohen
from sslig.annotation.summary import Resampling, spread
from sslig.annotation.table import judged, plain
from sslig.annotation.vocabulary import CUES
from sslig.cues.phones import CLASSES
from sslig.cues.vad import NON_SPEECH, SPEECH

GUESSES: Mapping[str, str] = {
    **dict.fromkeys(NON_SPEECH, "silence"), **dict.fromkeys(CLASSES, "phoneme"), SPEECH: "phoneme",
    "silence": "silence", "noise": "breath",
}  # fmt: skip
"""Class of most frames of a region (`sslig.cues.top_regions`) -> the cue that lies nearest.

No class of segments says glitch, transition, noise, spectral or unclear: those are heard, not looked up. The class
``noise`` of phones is breath and other sounds of no phone.
"""

COLUMNS = ("annotator", "utterance", "detector", "segment_class", "guess", "cue")


def guessed(table: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The judged regions with what their place suggests; those whose class is unknown are left out.

    Parameters
    ----------
    table
        Annotations; decoys and repeats are left out.
    regions
        ``utterance``, ``detector`` and ``segment_class`` of the top region of each detector.

    Returns
    -------
    DataFrame
        `COLUMNS`, and ``speaker`` and ``recording`` where they are known.
    """
    known = [column for column in ("speaker", "recording") if column in table]
    found = judged(plain(table)).merge(
        regions[["utterance", "detector", "segment_class"]], on=["utterance", "detector"]
    )
    found = found.assign(guess=found["segment_class"].map(GUESSES))
    return found.loc[found["guess"].notna(), [*COLUMNS, *known]].reset_index(drop=True)


def by_class(found: pd.DataFrame) -> pd.DataFrame:
    """How often each cue was heard (columns) in regions of each class (rows), of a table of `guessed`."""
    counts = pd.crosstab(found["segment_class"], found["cue"])
    rows = [name for name in GUESSES if name in counts.index]
    return counts.reindex(index=rows, columns=list(CUES), fill_value=0).rename_axis(
        index="segment_class", columns="cue"
    )


def agreement(found: pd.DataFrame, how: Resampling) -> pd.DataFrame:
    """How far guesses and people agree: ``statistic``, ``n``, ``value``, ``low`` and ``high``.

    ``same cue`` is the share of regions in which the guess is what was heard; ``Cohen's kappa`` corrects it for chance.
    """
    if found.empty:
        return pd.DataFrame(columns=["statistic", "n", "value", "low", "high"])
    names = list(CUES)
    codes = [pd.Categorical(found[column], categories=names).codes.astype(int) for column in ("guess", "cue")]

    def statistic(counts: np.ndarray) -> np.ndarray:
        cells = np.bincount(codes[0] * len(names) + codes[1], counts, minlength=len(names) ** 2)
        matrix = cells.reshape(len(names), -1)
        return np.array([np.trace(matrix) / matrix.sum(), cohen(matrix)])

    return spread(statistic, found, how).assign(statistic=["same cue", "Cohen's kappa"], n=len(found))[
        ["statistic", "n", "value", "low", "high"]
    ]
