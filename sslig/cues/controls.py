"""Matched random controls: as much is masked, in the same shape, only elsewhere."""

import torch
from torch import Tensor

from sslig.cues.feature_masks import MaskError

HIGHEST_HZ = 8000.0


def shifted(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, batch, frame) The mask shifted circularly by 1 to T - 1 frames, each draw of a row by another amount.

    The number of frames and, on the circle, the lengths of runs and gaps stay; a run may be split over the two ends.
    With more draws than shifts every shift comes up equally often, give or take one. Empty and full masks, and
    masks of one frame, can only stay as they are.

    Parameters
    ----------
    mask
        (batch, frame) bool
    draws
        At least 20 for a control distribution that can be read.
    generator
        Of the shifts.

    Raises
    ------
    MaskError
        The mask is no (batch, frame) bool tensor, or there is nothing to draw.
    """
    _check(mask, draws)
    everywhere = torch.ones(len(mask), max(0, mask.shape[1] - 1), dtype=torch.bool)
    return _rolled(mask, _drawn(everywhere, draws, generator))


def cuts(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, batch, frame) As many frames as silence takes at both ends, as one run inside the recording.

    A circular shift joins both ends to one run; shifts are drawn so that it does not overlap the mask. Where the mask
    covers more than half of the recording that is impossible, and any shift is drawn.

    Parameters
    ----------
    mask
        (batch, frame) bool, runs at the ends (`sslig.cues.feature_masks.edge_runs`).
    draws, generator
        As of `shifted`.

    Raises
    ------
    MaskError
        As of `shifted`.
    """
    _check(mask, draws)
    n_frames, masked = mask.shape[1], mask.sum(dim=1, keepdim=True).cpu()  # (batch, 1)
    shift = torch.arange(1, n_frames)
    inside = (shift >= masked) & (shift <= n_frames - masked)  # (batch, shift)
    return _rolled(mask, _drawn(inside | ~inside.any(dim=1, keepdim=True), draws, generator))


def bands(
    lo_hz: float,
    hi_hz: float,
    draws: int,
    generator: torch.Generator,
    lowest_hz: float = 0.0,
    highest_hz: float = HIGHEST_HZ,
) -> list[tuple[float, float]]:
    """Bands as wide as `lo_hz` to `hi_hz`, placed uniformly where they do not overlap it.

    Where no place is free, they overlap it as they fall. Equal width is not equal energy: speech has most of its own
    below 1 kHz.

    Raises
    ------
    MaskError
        The band is no part of the range, or there is nothing to draw.
    """
    if draws < 1 or not lowest_hz <= lo_hz < hi_hz <= highest_hz:
        raise MaskError(f"{draws} draws of a band from {lo_hz} to {hi_hz} Hz; accepted: 1 draw or more, and "
                        f"{lowest_hz} <= lo_hz < hi_hz <= {highest_hz}")  # fmt: skip
    width = hi_hz - lo_hz
    below, above = max(0.0, lo_hz - width - lowest_hz), max(0.0, highest_hz - width - hi_hz)
    place = torch.rand(draws, generator=generator, dtype=torch.float64)
    if below + above > 0:
        place = place * (below + above)
        lows = torch.where(place < below, lowest_hz + place, hi_hz + place - below)
    else:
        lows = lowest_hz + place * (highest_hz - width - lowest_hz)
    return [(low, min(low + width, highest_hz)) for low in lows.tolist()]


def _check(mask: Tensor, draws: int) -> None:
    if draws < 1 or mask.ndim != 2 or mask.dtype != torch.bool:
        raise MaskError(f"{draws} draws of a {mask.dtype} mask of shape {tuple(mask.shape)}; 1 draw or more of a bool "
                        "mask (batch, frame) are needed")  # fmt: skip


def _drawn(allowed: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, batch) Shifts out of the (batch, shift) allowed ones, none twice before all came up once."""
    count = allowed.sum(dim=1, keepdim=True)  # (batch, 1)
    if not allowed.shape[1]:
        return torch.zeros(draws, len(allowed), dtype=torch.long)
    order = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, 2.0).argsort(dim=1)
    return 1 + order.gather(1, torch.arange(draws) % count).T


def _rolled(mask: Tensor, shifts: Tensor) -> Tensor:
    """(draw, batch, frame) The (batch, frame) mask moved on by (draw, batch) frames."""
    n_frames = mask.shape[1]
    frame = torch.arange(n_frames, device=mask.device)
    source = (frame - shifts.to(mask.device)[..., None]) % max(1, n_frames)  # (draw, batch, frame)
    return mask.expand(len(shifts), *mask.shape).gather(2, source)
