"""Figures of consensus and selection: groups of utterances, and where the chosen ones lie."""

import pandas as pd
from matplotlib.figure import Figure

from sslig.labels import KEYS
from sslig.plots.style import EVIDENCE, evidence_patches, figure_grid, style
from sslig.stats.agreement import GROUPS


@style()
def group_bars(groups: pd.DataFrame) -> Figure:
    """How many utterances of each class are in each group, as bars with their numbers.

    Parameters
    ----------
    groups
        ``group`` and ``key`` (`sslig.stats.agreement.groups`).
    """
    counts = pd.crosstab(groups["group"], groups["key"]).reindex(index=GROUPS, columns=list(KEYS), fill_value=0)
    figure, (axis,) = figure_grid(1, heights=[2.8], width=5.0)
    for place, (key, label) in enumerate(KEYS.items()):
        y = [row + 0.4 * place - 0.2 for row in range(len(GROUPS))]
        bars = axis.barh(y, counts[key], 0.36, color=EVIDENCE[label], alpha=0.75)
        axis.bar_label(bars, [f"{n:,}" for n in counts[key]], padding=3, fontsize=9)
    axis.set_yticks(range(len(GROUPS)), GROUPS)
    axis.set(xlabel="utterances", ylabel="group", ylim=(len(GROUPS) - 0.5, -0.5))
    axis.set_xlim(0, 1.15 * max(1, counts.to_numpy().max()))
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=5)
    figure.legend(handles=evidence_patches("{}"), loc="outside upper center", ncols=2)
    return figure


@style()
def chosen_ranks(chosen: pd.DataFrame, reasons: list[str]) -> Figure:
    """Where the chosen utterances lie among all, from bona fide-like to spoof-like, a row for each reason.

    Parameters
    ----------
    chosen
        ``reason``, ``key`` and ``spoof_rank`` (`sslig.selection.select`).
    reasons
        All reasons in order; one without utterances has an empty row.
    """
    figure, (axis,) = figure_grid(1, heights=[0.6 + 0.3 * len(reasons)], width=5.6)
    for key, label in KEYS.items():
        rows = chosen[chosen["key"] == key]
        axis.scatter(100 * rows["spoof_rank"], rows["reason"].map(reasons.index), s=34, marker="|", lw=1.6,
                     color=EVIDENCE[label])  # fmt: skip
    counts = chosen["reason"].value_counts()
    axis.set_yticks(range(len(reasons)), [f"{name} ({counts.get(name, 0)})" for name in reasons])
    axis.set(xlabel="mean rank, 100 = most spoof-like (%)", ylabel="reason", xlim=(0, 101))
    axis.set_ylim(len(reasons) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", color="0.9")
    figure.legend(handles=evidence_patches("{}"), loc="outside upper center", ncols=2)
    return figure
