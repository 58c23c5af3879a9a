"""Occlusion: how far the logit falls without a stretch of the input, in its features or in its samples."""

from collections.abc import Callable

import torch
from torch import Tensor

from sslig.attribution.context import Context
from sslig.attribution.explanation import Explanation, of_features
from sslig.attribution.target import Target
from sslig.data import fills


def occlusion(target: Target, context: Context, *, width_ms: float, stride_ms: float, baseline: str) -> Explanation:
    """The fall of the logit when a window becomes the baseline, averaged over the windows that cover a frame.

    All layers of a frame are replaced at once, so there is one layer and one feature. A head that selects nodes does so
    freely: the question is what the detector would say.

    References
    ----------
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """

    def replaced(masks: Tensor) -> Tensor:
        return torch.where(masks[:, None, :, None], target.starts, target.x)

    return _falls(target, windows(target, width_ms, stride_ms), replaced)


def waveform_occlusion(
    target: Target, context: Context, *, fill: str, width_ms: float, stride_ms: float
) -> Explanation:
    """The fall of the logit when a window of the recording is filled, averaged over the windows that cover a frame.

    Fills are those of `sslig.data.fills.replaced`, cross-faded; noise has the level and spectrum of the background of
    the recording. Only a waveform and its logit are needed.
    """
    generator, heard = context.generator("waveform_occlusion"), target.head
    waveform = heard.waveforms(target.x)

    def replaced(masks: Tensor) -> Tensor:
        return heard.cells(fills.replaced(waveform.expand(len(masks), -1), masks, target.clock, fill, generator))

    return _falls(target, windows(target, width_ms, stride_ms), replaced)


def windows(target: Target, width_ms: float, stride_ms: float) -> Tensor:
    """(window, frame) bool: windows over the frames read, the last cut at their end."""
    n_read, n_frames = target.n_read, target.n_frames
    width, stride = (min(target.clock.nearest_frames(each_ms), n_read) for each_ms in (width_ms, stride_ms))
    stride, count = min(stride, width), 1 + -(-(n_read - width) // min(stride, width))
    start, frame = stride * torch.arange(count)[:, None], torch.arange(n_frames)
    return ((frame >= start) & (frame < start + width) & (frame < n_read)).to(target.x.device)


def _falls(target: Target, masks: Tensor, replaced: Callable[[Tensor], Tensor]) -> Explanation:
    """F(x) - F(x without a window), averaged over the (window, frame) masks that cover a frame."""
    parts = masks.split(target.rows_at_once)
    falls = target.spoof_score - torch.cat([target.scores(target.logit, replaced(part)) for part in parts])
    covering = masks.double().cpu()
    by_frame = falls @ covering / covering.sum(dim=0).clamp_min(1)
    return of_features(target, by_frame[None, :, None], steps=len(masks))
