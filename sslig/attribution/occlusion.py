"""How much the logit falls when some frames are replaced by a baseline: a method without gradients."""

from collections.abc import Callable

import torch
from captum.attr import Occlusion
from torch import Tensor, nn

from sslig.attribution.contexts import Context
from sslig.attribution.evidence import Evidence
from sslig.attribution.integrated_gradients import mean_score, rows_at_once, same_rows


def occlusion(
    head: nn.Module, features: Tensor, context: Context, *, width: int, stride: int, baseline: str
) -> Evidence:
    """F(x) - F(x with `width` frames of the baseline), averaged over the windows that cover a frame.

    All layers of a frame are replaced at once, so there is one layer and one feature. A head that selects nodes does so
    freely: what is asked is what the detector would say. Where a head maps every frame by itself first
    (``head.project``), frames are replaced after that map, which is the same and costs less.

    References
    ----------
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """
    explained, x, start = _projected(head, features, context.start(baseline, features))
    n_frames, n_read = features.shape[2], min(features.shape[2], getattr(head, "n_frames", features.shape[2]))
    x, start = x[:, :, :n_read], start[:, :, :n_read]
    width = min(width, n_read)
    with torch.no_grad():
        found = Occlusion(explained).attribute(
            x, (x.shape[1], width, x.shape[3]), strides=(x.shape[1], min(stride, width), x.shape[3]),
            baselines=start, perturbations_per_eval=rows_at_once(x),
        )  # fmt: skip
    by_feature = torch.zeros(1, n_frames, 1, dtype=torch.float64)
    by_feature[0, :n_read, 0] = found[0, 0, :, 0].double().cpu()
    windows = 1 + -(-(n_read - width) // min(stride, width))
    return Evidence(by_feature, mean_score(explained, x), mean_score(explained, start), steps=windows)


def _projected(head: nn.Module, features: Tensor, start: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """The head behind its map of each frame, the features behind that map, and the baseline behind it."""
    if not (hasattr(head, "project") and hasattr(head, "decide")):
        return same_rows(head), features, start
    with torch.no_grad():
        return same_rows(head.decide), head.project(features), head.project(start)
