"""What became of the promises of attribution methods over many utterances, and what the methods cost."""

from collections.abc import Sequence

import pandas as pd

from sslig.attribution.evidence import INCOMPLETE, NOT_PROMISED
from sslig.attribution.integrated_gradients import COMPLETE, JUMP, NOT_CONVERGED
from sslig.attribution.methods import Explanation

STATUSES = (COMPLETE, JUMP, NOT_CONVERGED, INCOMPLETE, NOT_PROMISED)

COLUMNS = ("spoof_score", "baseline_score", "free_baseline_score", "residual", "relative_residual", "uncertainty",
           "status", "steps", "selection", "seconds", "peak_mib")  # fmt: skip

NONE = dict.fromkeys(COLUMNS, float("nan")) | {"status": "", "selection": ""}
"""In place of `row` where a map is no explanation."""


def row(explanation: Explanation) -> dict[str, object]:
    """`COLUMNS` of one explanation; NaN where the method promises nothing."""
    held = {name: getattr(explanation, name) for name in COLUMNS}
    return {name: float("nan") if value is None else value for name, value in held.items()}


def summary(explanations: pd.DataFrame, by: Sequence[str] = ("method",)) -> pd.DataFrame:
    """A row a group of explanations, in the order in which they come.

    Parameters
    ----------
    explanations
        `COLUMNS` and `by`, a row an explanation.
    by
        What groups are made of.

    Returns
    -------
    DataFrame
        `by`; ``n``; how many explanations have each of `STATUSES`; ``residual_median`` and ``residual_worst``, relative
        to F(x) - F(b), which may be small, and ``residual_worst_logits``; ``uncertainty_median``, relative too; all NaN
        where nothing is promised; ``steps_median``; ``seconds_median``; ``peak_mib_worst``.
    """
    explanations = explanations.assign(
        difference=_difference(explanations), off=explanations["residual"].astype(float).abs()
    )
    groups = explanations.groupby(list(by), sort=False)
    found = groups.agg(
        n=("status", "size"),
        residual_median=("relative_residual", "median"),
        residual_worst=("relative_residual", "max"),
        residual_worst_logits=("off", "max"),
        steps_median=("steps", "median"),
        seconds_median=("seconds", "median"),
        peak_mib_worst=("peak_mib", "max"),
    )
    for place, status in enumerate(STATUSES, start=1):
        found.insert(place, status, groups["status"].agg(lambda held, status=status: (held == status).sum()))
    relative = groups[["uncertainty", "difference"]].apply(
        lambda part: (part["uncertainty"] / part["difference"]).median()
    )
    found.insert(found.columns.get_loc("steps_median"), "uncertainty_median", relative)
    return found.reset_index()


def _difference(explanations: pd.DataFrame) -> pd.Series:
    """|F(x) - F(b)|, NaN where there is no baseline or no difference."""
    size = (explanations["spoof_score"] - explanations["baseline_score"].astype(float)).abs()
    return size.where(size > 0)
