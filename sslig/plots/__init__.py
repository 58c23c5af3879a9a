"""Figures: arrays and tables in, matplotlib figures out; nothing is loaded and nothing is saved here."""

from sslig.plots.errors import det, eer_bars, eer_heatmap, score_distributions
from sslig.plots.signals import attribution, attribution_common_axis, layer_map
from sslig.plots.training import training_curves

__all__ = [
    "attribution",
    "attribution_common_axis",
    "det",
    "eer_bars",
    "eer_heatmap",
    "layer_map",
    "score_distributions",
    "training_curves",
]
