"""The groups and artefact EERs of the paper's release, computed again, and the summary of all released tables.

The tables are those of the release of arXiv 2606.10912. What is said of the code of the release was read in
github.com/Security-FIT/IG_for_SSL_detectors at commit 40cc358.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sslig.report import audit_annotations
from sslig.report.audit_annotations import AuditError
from sslig.stats import metrics

TABLES = {
    "selection": "published_selection_132.csv",
    "annotations": "published_annotations.csv",
    "global": "published_artefact_eer_global.csv",
    "pairwise": "published_artefact_eer_pairwise.csv",
}
SCORES = {"aasist": "AASIST_Score", "camhfa": "CAMHFA_Score", "sls": "SLS_Score"}
COLUMNS = {
    "selection": ("FileID", "Label", "Speaker", "SelectionReason", *SCORES.values()),
    "global": ("Metric", "EER"),
    "pairwise": ("Group_1", "Group_2", "Metric", "EER"),
}
MID = {"Mid-Correct": True, "Mid-Wrong": False}
CONFIDENT = {"Confidently Correct": True, "Confidently Wrong": False}
SHORT = {"Confidently Correct": "CR", "Confidently Wrong": "CW"}
"""Names of groups of the selection, and what the tables of artefact EERs call them."""

SAME = 1e-9


def summary(folder: Path) -> dict:
    """All figures that the page derives from the published tables, as plain values."""
    selection, overall, pairwise = (_read(folder, name) for name in ("selection", "global", "pairwise"))
    annotations = audit_annotations.read(folder / TABLES["annotations"], selection)
    found = {
        "files": {file: _fingerprint(folder / file) for file in TABLES.values()},
        "groups": {"selected": len(selection), **groups(selection, pairwise)},
        "eer": {"overall": overall_eers(selection, overall), "pairwise": pairwise_eers(selection, pairwise)},
        "annotations": audit_annotations.findings(annotations),
    }
    return json.loads(json.dumps(found))  # tuples and numpy numbers become what a stored summary holds


def groups(selection: pd.DataFrame, pairwise: pd.DataFrame) -> dict:
    """Whether the names of groups fit the scores, and what two tables call the same group.

    "Correct" spoofs and "wrong" bona fide utterances should have spoof scores above a detector's threshold, the others
    below. The thresholds are not in the tables, so the best of all is taken, for the names as they are and exchanged.
    """
    mid, confident = (selection[_outcome(selection, names).notna()] for names in (MID, CONFIDENT))
    fits = []
    for detector, column in SCORES.items():
        above = _outcome(mid, MID) == (mid["Label"] == "spoof")
        published, exchanged = (fit(mid[column], should) for should in (above, ~above))
        middle = sum(exchanged[1:]) / 2
        right = _outcome(confident, CONFIDENT) == (confident["Label"] == "spoof")
        agree = int(((confident[column] > middle) == right).sum())
        fits.append({"detector": detector, "published": published[0], "exchanged": exchanged[0],
                     "threshold_low": exchanged[1], "threshold_high": exchanged[2],
                     "confident": agree, "at_zero": int(((mid[column] > 0) == above).sum())})  # fmt: skip
    named = set(pairwise["Group_1"]) | set(pairwise["Group_2"])
    touched = pairwise[["Group_1", "Group_2"]].map(lambda name: name.startswith(tuple(MID))).any(axis=1)
    return {"mid": len(mid), "confident": len(confident), "fits": fits, "eers": len(pairwise),
            "eers_of_mid": int(touched.sum()), "renamed": _renamed(selection, named)}  # fmt: skip


def fit(scores: ArrayLike, above: ArrayLike) -> tuple[int, float, float]:
    """How many scores lie on the side of the best threshold that they should, and between which scores that lies.

    Parameters
    ----------
    scores
        (utterance,) Spoof scores.
    above
        (utterance,) Which of them should lie above.

    Returns
    -------
    n, low, high
        The number, and the neighbouring scores; an end is infinite where the threshold is outside all scores.
    """
    order = np.argsort(scores, kind="stable")
    scores, above = np.asarray(scores, dtype=float)[order], np.asarray(above, dtype=bool)[order]
    right = np.concatenate([[0], np.cumsum(~above)]) + above.sum() - np.concatenate([[0], np.cumsum(above)])
    best = int(np.argmax(right))
    edges = np.concatenate([[-np.inf], scores, [np.inf]])
    return int(right[best]), float(edges[best]), float(edges[best + 1])


def overall_eers(selection: pd.DataFrame, published: pd.DataFrame) -> list[dict]:
    """The EERs of bona fide against spoof as published, and what those can be that no untied measure gives.

    The released function steps through equal values one by one and keeps the smaller EER of both directions. An EER E
    above `ceiling` then needs a tie that is reached in both: with a lowest value that many recordings share, as a
    silence of 0 s, at least a share E of both classes, less half a step. A threshold cannot split a tie, so the EER in
    the better direction is at least half of that, and at most 0.5.
    """
    counts = selection["Label"].value_counts()
    n_bonafide, n_spoof = int(counts["bonafide"]), int(counts["spoof"])
    rows = []
    for row in published.itertuples():
        tied = ceiling(n_bonafide, n_spoof) + SAME < row.EER
        more = _tied(row.EER, n_bonafide, n_spoof) if tied else {}
        rows.append({"measure": row.Metric, "published": row.EER, "tied": bool(tied), **more})
    return rows


def pairwise_eers(selection: pd.DataFrame, published: pd.DataFrame) -> list[dict]:
    """For each measure how many EERs of pairs of groups are above 0.5, and above what an untied measure can give."""
    sizes = {_short(name): size for name, size in selection["SelectionReason"].value_counts().items()}
    renamed = _renamed(selection, set(published["Group_1"]) | set(published["Group_2"]))
    sizes |= {name["pairwise"]: name["utterances"] for name in renamed}
    highest = [ceiling(sizes[row.Group_1], sizes[row.Group_2]) for row in published.itertuples()]
    table = published.assign(half=published["EER"] > 0.5 + SAME, tied=published["EER"] > np.array(highest) + SAME)
    found = table.groupby("Metric", sort=False).agg(
        pairs=("EER", "size"), above_half=("half", "sum"), tied=("tied", "sum"), highest=("EER", "max")
    )
    return found.rename_axis("measure").reset_index().to_dict("records")


def ceiling(n_bonafide: int, n_spoof: int) -> float:
    """The largest EER that `stepped_eer` returns without ties: 0.5 + 1 / (4 n) for the smaller class of n.

    At the nearest pair of error rates these differ by no more than half a step 1 / n, and one of them, from one of
    both directions, is at most 0.5.
    """
    return 0.5 + 1 / (4 * min(n_bonafide, n_spoof))


def stepped_eer(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """The EER as the released function gives it: each value is a step, equal ones too, bona fide first.

    The smaller one of both directions is kept, so without ties no EER is above `ceiling`; with ties it can be 1.
    """
    values = np.concatenate([np.asarray(bonafide, dtype=float), np.asarray(spoof, dtype=float)])
    return min(_stepped(direction * values, len(bonafide)) for direction in (1, -1))


def _stepped(values: np.ndarray, n_bonafide: int) -> float:
    is_bonafide = np.argsort(values, kind="stable") < n_bonafide
    p_miss = np.concatenate([[0], np.cumsum(is_bonafide)]) / n_bonafide
    p_fa = 1 - np.concatenate([[0], np.cumsum(~is_bonafide)]) / (len(values) - n_bonafide)
    nearest = np.argmin(np.abs(p_miss - p_fa))
    return float((p_miss[nearest] + p_fa[nearest]) / 2)


def _tied(eer: float, n_bonafide: int, n_spoof: int) -> dict:
    """The most even ties from which `stepped_eer` gives `eer`, and with them the EER that takes a tie as one step."""
    lowest = [(k, m) for k in range(n_bonafide + 1) for m in range(n_spoof + 1)
              if abs((k / n_bonafide + m / n_spoof) / 2 - eer) < SAME]  # fmt: skip
    for k, m in sorted(lowest, key=lambda pair: abs(pair[0] / n_bonafide - pair[1] / n_spoof)):
        bonafide, spoof = ((np.arange(n) - n_tied + 1).clip(0) / n for n, n_tied in ((n_bonafide, k), (n_spoof, m)))
        if abs(stepped_eer(bonafide, spoof) - eer) < SAME:
            ties = min(metrics.eer(bonafide, spoof), metrics.eer(-bonafide, -spoof))
            return {"tied_bonafide": k, "tied_spoof": m, "n_bonafide": n_bonafide, "n_spoof": n_spoof,
                    "one_step": ties, "lowest": (eer - ceiling(n_bonafide, n_spoof) + 0.5) / 2}  # fmt: skip
    raise AuditError(f"{TABLES['global']}: EER {eer}: no ties among {n_bonafide} bona fide and {n_spoof} spoof "
                     "utterances give it")  # fmt: skip


def _outcome(selection: pd.DataFrame, names: dict[str, bool]) -> pd.Series:
    """Whether each utterance was decided correctly by the name of its group; missing where it is in none of them."""
    group = selection["SelectionReason"].str.rsplit(" ", n=1).str[0]
    return group.map(names)


def _short(name: str) -> str:
    group, _, label = name.rpartition(" ")
    return f"{SHORT.get(group, group)} {label}"


def _renamed(selection: pd.DataFrame, named: set[str]) -> list[dict]:
    """Groups that only one table names, where there is one in each, with the scores that tell which name is right."""
    groups_of = selection["SelectionReason"]
    ours = sorted({name for name in groups_of.unique() if _short(name) not in named})
    theirs = sorted(named - {_short(name) for name in groups_of.unique()})
    if len(ours) != 1 or len(theirs) != 1:
        return []
    first = next(iter(SCORES.values()))
    inside, spoof = groups_of == ours[0], selection["Label"] == "spoof"
    return [{"selection": ours[0], "pairwise": theirs[0], "utterances": int(inside.sum()),
             "lowest": float(selection.loc[inside, first].min()),
             "highest_other": float(selection.loc[spoof & ~inside, first].max())}]  # fmt: skip


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = folder / TABLES[name]
    if not path.is_file():
        raise AuditError(f"{path}: no such file; the folder of the published tables is needed")
    table = pd.read_csv(path)
    if missing := [column for column in COLUMNS[name] if column not in table]:
        raise AuditError(f"{path}: no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
