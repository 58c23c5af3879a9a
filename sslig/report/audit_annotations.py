"""What the released annotations say: cues, locality, audibility, how late marks end, where those of detectors meet."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from sslig.annotation.regions import intersection_over_union
from sslig.annotation.vocabulary import CUES, DETECTORS, LOCALITY
from sslig.frames import SAMPLE_RATE_HZ, SSL_CLOCK
from sslig.report.audit_draws import LEVEL, ROUNDS, difference, drawn, interval, mean, mean_of_pairs, rounded, verdict

SLS_FRAMES = 201
"""Frames that the released SLS head reads (Zhang et al., ACM MM 2024)."""

REACH_STEP_S = 0.1


class AuditError(ValueError):
    """Published tables that cannot be read; the message names the file and the row, and what is accepted."""


@dataclass(frozen=True)
class Statement:
    """What the paper's abstract says of one detector, in our words, and the figure that would show it.

    Attributes
    ----------
    detector
        The detector that should have the largest figure of the three.
    says
        The statement.
    cues
        Whose share it is; without any the figure is the mean locality.
    """

    detector: str
    says: str
    cues: tuple[str, ...] = ()


STATEMENTS = (
    Statement("aasist", "looks at what is not speech", ("noise", "silence", "breath")),
    Statement("camhfa", "looks at phones", ("phoneme",)),
    Statement("camhfa", "looks at short stretches"),
    Statement("sls", "looks at word boundaries", ("transition",)),
    Statement("sls", "looks at the spectrum", ("spectral",)),
)


def read(path: Path, selection: pd.DataFrame) -> pd.DataFrame:
    """The annotations at `path`, a row an utterance in sorted order, without those in which nothing is marked.

    An untouched form holds a locality of 3 and "not audible", which are no judgements; nor are they beside a mark
    without a cue, which `judgements` and `statements` leave out.

    Parameters
    ----------
    path
        The ``|``-separated table of the release; comments are quoted where they hold quotes or separators.
    selection
        The release's selection with ``FileID`` and ``Speaker``.

    Returns
    -------
    DataFrame
        ``file``, ``speaker`` and for each detector ``_cue``, ``_loc``, ``_audible``, ``_start_s`` and ``_end_s``.

    Raises
    ------
    AuditError
        A column is missing, a file is not in the selection, or a cue, a locality or a range is none.
    """
    table = pd.read_csv(path, sep="|")
    ends = {f"{name}_range/{end}": f"{name}_{end}_s" for name in DETECTORS for end in ("start", "end")}
    parts = [f"{name}_{part}" for name in DETECTORS for part in ("cue", "loc", "audible")]
    if missing := [column for column in ["file", *parts, *ends] if column not in table]:
        raise AuditError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    table = table[["file", *parts, *ends]].rename(columns=ends)
    table["speaker"] = table["file"].map(selection.set_index("FileID")["Speaker"])
    _check(path, table)
    marked = table[[f"{name}_end_s" for name in DETECTORS]].notna().any(axis=1)
    return table[marked].sort_values("file").reset_index(drop=True)


def findings(table: pd.DataFrame) -> dict[str, object]:
    """All that is derived from a table of `read`, as plain values: what a summary stores."""
    draws = drawn(table["speaker"])
    return {
        "utterances": len(table), "speakers": table["speaker"].nunique(), "rounds": ROUNDS, "level": LEVEL,
        "cues": cue_shares(table, draws), "judgements": judgements(table, draws),
        "statements": statements(table, draws), "reach": reach(table), "ends": ends_by(table),
        "overlap": overlaps(table, draws),
    }  # fmt: skip


def cue_shares(table: pd.DataFrame, draws: np.ndarray) -> list[dict]:
    """The share of each cue among the labels of each detector, with its interval; unlabelled marks are left out."""
    rows = []
    for name in DETECTORS:
        labels = table[f"{name}_cue"]
        for cue in CUES:
            share = mean(_is_among(labels, (cue,)), draws)
            rows.append({"detector": name, "cue": cue, "n": int((labels == cue).sum()),
                         "labels": int(labels.notna().sum()), **interval(share)})  # fmt: skip
    return rows


def judgements(table: pd.DataFrame, draws: np.ndarray) -> list[dict]:
    """The mean locality and the share of audible cues of each detector over its labelled marks, with intervals."""
    rows = []
    for name in DETECTORS:
        for what in ("loc", "audible"):
            values = _judged(table, name, what)
            labels = int((~np.isnan(values)).sum())
            rows.append({"detector": name, "what": what, "labels": labels, **interval(mean(values, draws))})
    return rows


def statements(table: pd.DataFrame, draws: np.ndarray) -> list[dict]:
    """For each of `STATEMENTS` the figure of the detector less that of each other one, and a `verdict`.

    The differences are paired: each round has the same utterances for both detectors.
    """
    rows = []
    for number, statement in enumerate(STATEMENTS):
        figures = {name: mean(_figure(table, name, statement), draws) for name in DETECTORS}
        others = {name: figures[statement.detector] - figures[name] for name in DETECTORS if name != statement.detector}
        differences = {name: difference(values) for name, values in others.items()}
        rows.append({"statement": number, "value": rounded(figures[statement.detector][0]),
                     "less": differences, "verdict": verdict(differences)})  # fmt: skip
    return rows


def reach(table: pd.DataFrame) -> list[dict]:
    """How many marks of each detector start and end after the last sample that the released SLS head can see."""
    limit_s = SSL_CLOCK.n_samples(SLS_FRAMES) / SAMPLE_RATE_HZ
    rows = []
    for name in DETECTORS:
        start_s, end_s = (table[f"{name}_{end}_s"].dropna() for end in ("start", "end"))
        later = {"end_later": int((end_s > limit_s).sum()), "start_later": int((start_s > limit_s).sum())}
        rows.append({"detector": name, "marks": len(end_s), "limit_s": limit_s, **later,
                     "latest_end_s": rounded(end_s.max()),
                     "median_length_s": rounded((end_s - start_s).median())})  # fmt: skip
    return rows


def ends_by(table: pd.DataFrame) -> dict[str, object]:
    """``time_s`` (point,) and for each detector (point,) the share of its marks that have ended by then."""
    ends_s = {name: table[f"{name}_end_s"].dropna().to_numpy() for name in DETECTORS}
    latest_s = max(values.max() for values in ends_s.values())
    time_s = np.arange(0, latest_s + REACH_STEP_S, REACH_STEP_S)
    shares = {name: [rounded((values <= time).mean()) for time in time_s] for name, values in ends_s.items()}
    return {"time_s": [rounded(time) for time in time_s], **shares}


def overlaps(table: pd.DataFrame, draws: np.ndarray) -> list[dict]:
    """How far the marks of two detectors on one utterance meet, beside marks of two different utterances.

    The overlap of two marks is their intersection over their union. By chance means the mark of one detector on one
    utterance against that of the other on another one, over all such pairs, so that marks that lie early or are long
    do not count as agreement.
    """
    rows = []
    for one, other in combinations(DETECTORS, 2):
        both = table[[f"{one}_end_s", f"{other}_end_s"]].notna().all(axis=1).to_numpy()
        found = intersection_over_union(_marks(table[both], one), _marks(table[both], other))
        same, counts = np.diag(found), draws[:, both]
        observed, chance = mean(same, counts), mean_of_pairs(found, counts)
        rows.append({"detectors": [one, other], "marks": len(same), "apart": int((same == 0).sum()),
                     "same": interval(observed), "chance": rounded(chance[0]),
                     "above_chance": interval(observed - chance)})  # fmt: skip
    return rows


def _figure(table: pd.DataFrame, detector: str, statement: Statement) -> np.ndarray:
    if statement.cues:
        return _is_among(table[f"{detector}_cue"], statement.cues)
    return _judged(table, detector, "loc")


def _judged(table: pd.DataFrame, detector: str, what: str) -> np.ndarray:
    """(utterance,) A judgement where the detector's cue is labelled, NaN elsewhere."""
    return table[f"{detector}_{what}"].astype(float).where(table[f"{detector}_cue"].notna()).to_numpy()


def _is_among(labels: pd.Series, cues: tuple[str, ...]) -> np.ndarray:
    """(utterance,) 1 where the label is one of the cues, 0 where it is another, NaN where there is none."""
    return np.where(labels.notna(), labels.isin(cues), np.nan)


def _marks(table: pd.DataFrame, detector: str) -> np.ndarray:
    """(utterance, 2) Start, which drawing by hand puts a little before 0 here and there, and end in seconds."""
    marks = table[[f"{detector}_start_s", f"{detector}_end_s"]].to_numpy()
    return np.clip(marks, 0, None)


def _check(path: Path, table: pd.DataFrame) -> None:
    faults = {"a file that is not in the selection": table["speaker"].isna()}
    for name in DETECTORS:
        cue, locality, start, end = (table[f"{name}_{part}"] for part in ("cue", "loc", "start_s", "end_s"))
        faults[f"{name}: a cue that is none of {', '.join(CUES)}"] = cue.notna() & ~cue.isin(CUES)
        faults[f"{name}: a locality that is not {LOCALITY[0]} to {LOCALITY[1]}"] = ~locality.between(*LOCALITY)
        faults[f"{name}: a range that does not end after it starts"] = (start.notna() | end.notna()) & ~(start < end)
    for fault, rows in faults.items():
        if rows.any():
            row = table[rows].iloc[0]
            raise AuditError(f"{path}: row {row.name + 2} ({row['file']}): {fault}")
