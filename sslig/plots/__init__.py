"""Figures: arrays and tables in, matplotlib figures out; nothing is loaded and nothing is saved here."""

from sslig.plots.errors import det, eer_bars, eer_heatmap, score_distributions
from sslig.plots.masking import dose_response, mask_effects
from sslig.plots.signals import attribution, attribution_common_axis, layer_map
from sslig.plots.training import training_curves

__all__ = [
    "attribution",
    "attribution_common_axis",
    "det",
    "dose_response",
    "eer_bars",
    "eer_heatmap",
    "layer_map",
    "mask_effects",
    "score_distributions",
    "training_curves",
]
