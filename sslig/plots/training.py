"""Figures of training: what epochs and steps gave."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sslig.plots.style import PERCENT, detector_styles, figure_grid, legend_above, style

PANELS = {"train_loss": "training loss", "dev_eer": "development EER (%)", "dev_min_dcf": "development minDCF"}
STEP_PANELS = {"loss": "loss of batches", "lr_head": "learning rate, head", "lr_backbone": "learning rate, encoder"}


@style()
def training_curves(table: pd.DataFrame, steps: pd.DataFrame | None = None) -> Figure:
    """Loss and development metrics over epochs: each seed a thin line, their mean a thick one.

    Parameters
    ----------
    table
        ``detector``, ``seed``, ``epoch``, ``train_loss``, ``dev_eer`` (rate) and ``dev_min_dcf``.
    steps
        ``detector``, ``seed``, ``step``, ``loss``, ``lr_head`` and ``lr_backbone``, drawn in a row below; none or
        empty: there is no such row.
    """
    below = steps is not None and len(steps) > 0
    figure, axes = figure_grid(1 + below, heights=[2.9] * (1 + below), columns=3)
    _over_epochs(axes[:3], table)
    if below:
        _over_steps(axes[3:], steps)
    legend_above(figure, axes[0])
    return figure


def _over_epochs(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    for name, look in detector_styles(table["detector"]).items():
        rows = table[table["detector"] == name]
        for axis, column in zip(axes, PANELS, strict=True):
            for _, seed in rows.groupby("seed"):
                axis.plot(seed["epoch"], seed[column], color=look["color"], lw=0.8, alpha=0.5)
            mean = rows.groupby("epoch")[column].mean()
            axis.plot(mean.index, mean, label=name, lw=2, ms=4, **look)
    for axis, label in zip(axes, PANELS.values(), strict=True):
        axis.set(xlabel="epoch", title=label)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].yaxis.set_major_formatter(PERCENT)


def _over_steps(axes: Sequence[Axes], steps: pd.DataFrame) -> None:
    for name, look in detector_styles(steps["detector"]).items():
        thin = look | {"marker": None, "lw": 0.8}
        for axis, column in zip(axes, STEP_PANELS, strict=True):
            for _, seed in steps[steps["detector"] == name].groupby("seed"):
                axis.plot(seed["step"], seed[column], **thin)
    for axis, label in zip(axes, STEP_PANELS.values(), strict=True):
        axis.set(xlabel="optimiser step", title=label, ylim=(0, None))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        axis.ticklabel_format(axis="y", scilimits=(-2, 2))
