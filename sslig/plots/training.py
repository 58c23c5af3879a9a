"""Figures of training: what epochs gave."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sslig.style import PERCENT, detector_styles, figure_grid, legend_above, style


@style()
def training_curves(table: pd.DataFrame) -> Figure:
    """Loss and development metrics over epochs: each seed a thin line, their mean a thick one.

    Parameters
    ----------
    table
        ``detector``, ``seed``, ``epoch``, ``train_loss``, ``dev_eer`` (rate) and ``dev_min_dcf``.
    """
    panels = {"train_loss": "training loss", "dev_eer": "development EER (%)", "dev_min_dcf": "development minDCF"}
    figure, axes = figure_grid(1, heights=[2.9], columns=3)
    for name, look in detector_styles(table["detector"]).items():
        rows = table[table["detector"] == name]
        for axis, column in zip(axes, panels, strict=True):
            for _, seed in rows.groupby("seed"):
                axis.plot(seed["epoch"], seed[column], color=look["color"], lw=0.8, alpha=0.5)
            mean = rows.groupby("epoch")[column].mean()
            axis.plot(mean.index, mean, label=name, lw=2, ms=4, **look)
    for axis, label in zip(axes, panels.values(), strict=True):
        axis.set(xlabel="epoch", title=label)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].yaxis.set_major_formatter(PERCENT)
    legend_above(figure, axes[0])
    return figure
