"""Figures: arrays and tables in, matplotlib figures out; nothing is loaded and nothing is saved here."""

from sslig.plots.annotation import agreements, class_cues, count_matrix
from sslig.plots.artefacts import contributions, measure_eers, score_heatmap, time_correlations
from sslig.plots.audit import cue_shares, mark_ends, orders
from sslig.plots.augmentation import spectrograms
from sslig.plots.calibration import reliability
from sslig.plots.conditions import metric_heatmap
from sslig.plots.errors import det, eer_bars, error_rates, error_regions, score_distributions
from sslig.plots.faithfulness import method_curves
from sslig.plots.masking import dose_response, mask_effects
from sslig.plots.profile import class_ratios
from sslig.plots.selection import chosen_ranks, group_bars
from sslig.plots.signals import attribution, attribution_common_axis, layer_map
from sslig.plots.training import training_curves
from sslig.plots.validation import localisation_heatmap, planted_cue

__all__ = [
    "agreements",
    "attribution",
    "attribution_common_axis",
    "chosen_ranks",
    "class_cues",
    "class_ratios",
    "contributions",
    "count_matrix",
    "cue_shares",
    "det",
    "dose_response",
    "eer_bars",
    "error_rates",
    "error_regions",
    "group_bars",
    "layer_map",
    "localisation_heatmap",
    "mark_ends",
    "mask_effects",
    "measure_eers",
    "method_curves",
    "metric_heatmap",
    "orders",
    "planted_cue",
    "reliability",
    "score_distributions",
    "score_heatmap",
    "spectrograms",
    "time_correlations",
    "training_curves",
]
