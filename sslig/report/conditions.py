"""Every metric under every attack, codec and gender, with counts and intervals."""

from collections.abc import Mapping

import pandas as pd

from sslig.corpora.protocol import NONE
from sslig.report.display import listed
from sslig.report.resampled import HEADINGS, interval_text, over_seeds
from sslig.stages import RATIO
from sslig.stats import metrics
from sslig.study import Evaluation

JUDGED = {"eer": "spoof_score", "min_dcf": "spoof_score", "act_dcf": RATIO, "cllr": RATIO}
"""Metric -> scores: those that take scores at their word judge the calibrated ones."""

FEW_TRIALS = 30


def columns(scores: pd.DataFrame) -> list[str]:
    """What the trials are told apart by: attack, codec and, where the protocol tells more than one, gender."""
    told = scores.loc[scores["gender"] != NONE, "gender"].nunique() > 1
    return ["attack", "codec", *(["gender"] if told else [])]


def table(scores: pd.DataFrame, options: Evaluation, seed: int, judged: Mapping[str, str] = JUDGED) -> pd.DataFrame:
    """All metrics of each detector under each combination of conditions, averaged over seeds.

    Parameters
    ----------
    scores
        Trials of several detectors and seeds (`sslig.report.calibration.ratios_of`).
    options, seed
        As of `sslig.report.resampled.over_seeds`.
    judged
        Metric -> column of scores.

    Returns
    -------
    DataFrame
        The conditions (`columns`; each attack meets the bona fide trials of its codec and gender) and the columns of
        `over_seeds`.
    """
    parts = []
    for group, bonafide, spoof in metrics.grouped(scores, columns(scores)):
        found = over_seeds(pd.concat([bonafide, spoof]), judged, options, seed=seed)
        parts.append(pd.DataFrame(group, index=found.index).join(found))
    return pd.concat(parts, ignore_index=True)


def of_metric(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The cells of one metric, its values in a column of its name."""
    return found[found["metric"] == metric].rename(columns={"value": metric})


def wide(found: pd.DataFrame) -> pd.DataFrame:
    """A `table` as people read it: a row a detector and condition, ``value [low, high]`` in a column a metric."""
    about = [name for name in ("attack", "codec", "gender", "detector") if name in found]
    counts = ["n_bonafide", "n_spoof"]
    text = [interval_text(row, row["metric"]) for row in found.to_dict("records")]
    shown = found.assign(text=text).pivot(index=[*about, *counts], columns="metric", values="text").reset_index()
    names = {"n_bonafide": "bona fide", "n_spoof": "spoofs"}
    return shown[[*about, *counts, *HEADINGS]].rename(columns=names | HEADINGS).rename_axis(columns=None)


def note(found: pd.DataFrame) -> str:
    """What the cells hold, which are small or empty, and between which EERs they lie."""
    by = listed([name for name in ("attack", "codec", "gender") if name in found])
    cells = found[(found["metric"] == "eer") & (found["detector"] == found["detector"].iloc[0])]
    sizes = cells[["n_bonafide", "n_spoof"]].min(axis=1)
    text = f"{len(cells)} cells of {by}"
    if "gender" not in found:
        text += " (the protocol does not tell genders apart)"
    text += f"; the smaller class of a cell has {sizes.min():,}"
    text += f" to {sizes.max():,} trials" if sizes.max() > sizes.min() else " trials"
    few = int((sizes < FEW_TRIALS).sum())
    if few:
        text += (f". {few} {'cells have' if few > 1 else 'cell has'} fewer than {FEW_TRIALS} of one: read "
                 f"{'them' if few > 1 else 'it'} with the interval, in the table below")  # fmt: skip
    if "gender" in found and (found["n_speakers"] == 1).all():
        text += ". Each gender is one speaker here: what differs between panels may be the person"
    empty = int((sizes == 0).sum())
    return text + (f". {empty} lack a class and have no metric." if empty else ".")


def extremes_note(found: pd.DataFrame) -> str:
    """The hardest and the easiest condition, averaged over detectors."""
    by = [name for name in ("attack", "codec", "gender") if name in found]
    eers = found[found["metric"] == "eer"].dropna(subset="value").groupby(by)["value"].mean().sort_values()
    if eers.empty:
        return "No cell has both classes."
    worst, best = (" under ".join(_words(dict(zip(by, eers.index[at], strict=True)))) for at in (-1, 0))
    averaged = "Averaged over detectors" if found["detector"].nunique() > 1 else f"For {found['detector'].iloc[0]}"
    return (f"{averaged}, {worst} is hardest with an EER of {100 * eers.iloc[-1]:.0f} %, {best} easiest "
            f"with {100 * eers.iloc[0]:.0f} %.")  # fmt: skip


def _words(group: dict[str, str]) -> list[str]:
    codec = "no codec" if group["codec"] == NONE else group["codec"]
    gender = f" ({group['gender']})" if "gender" in group else ""
    return [group["attack"], f"{codec}{gender}"]
