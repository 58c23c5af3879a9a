"""Matched random controls: as much is masked, in the same shape, only elsewhere."""

import torch
from torch import Tensor

from sslig.errors import InputError

HIGHEST_HZ = 8000.0


def shifted(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, batch, frame) Masks with as many frames in runs of the same lengths, elsewhere.

    Each is the mask shifted circularly by 1 to T - 1 frames, out of the shifts that neither split a run over the two
    ends nor join two there, so gaps keep their lengths too; with more draws than such shifts each comes up equally
    often, give or take one. A mask that reaches both ends has no such shift: its runs are placed anew, in random order
    and with random gaps of at least one frame. Empty and full masks, and masks of one frame, can only stay as they are.

    Parameters
    ----------
    mask
        (batch, frame) bool
    draws
        At least 20 for a control distribution that can be read.
    generator
        Of the places.

    Raises
    ------
    InputError
        The mask is no (batch, frame) bool tensor, or there is nothing to draw.
    """
    _check(mask, draws)
    reversed_ = mask.cpu().flip(1)  # a shift by s brings the frames T - s and T - 1 - s to the two ends
    split = reversed_[:, :-1] & reversed_[:, 1:]  # (batch, shift)
    ends = mask[:, :1].cpu() & mask[:, -1:].cpu() if mask.shape[1] else torch.zeros(len(mask), 1, dtype=torch.bool)
    whole = ~split & ~ends
    found = _rolled(mask, _drawn(whole | ~whole.any(dim=1, keepdim=True), draws, generator))
    for row in torch.nonzero(~whole.any(dim=1))[:, 0].tolist():
        found[:, row] = _placed(mask[row].cpu(), draws, generator).to(mask.device)
    return found


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
    InputError
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
    InputError
        The band is no part of the range, or there is nothing to draw.
    """
    if draws < 1 or not lowest_hz <= lo_hz < hi_hz <= highest_hz:
        raise InputError(
            f"{draws} draws of a band from {lo_hz} to {hi_hz} Hz; accepted: 1 draw or more, and "
            f"{lowest_hz} <= lo_hz < hi_hz <= {highest_hz}"
        )
    width = hi_hz - lo_hz
    below, above = max(0.0, lo_hz - width - lowest_hz), max(0.0, highest_hz - width - hi_hz)
    place = torch.rand(draws, generator=generator, dtype=torch.float64)
    if below + above > 0:
        place = place * (below + above)
        lows = torch.where(place < below, lowest_hz + place, hi_hz + place - below)
    else:
        lows = lowest_hz + place * (highest_hz - width - lowest_hz)
    return [(low, min(low + width, highest_hz)) for low in lows.tolist()]


def _placed(row: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, frame) The runs of one (frame,) mask in random order, all ways to leave gaps between them as likely."""
    step = torch.diff(row.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    lengths = (step == -1).nonzero()[:, 0] - (step == 1).nonzero()[:, 0]  # (run,)
    n_runs, n_free = len(lengths), len(row) - int(lengths.sum()) - max(0, len(lengths) - 1)
    order = torch.rand(draws, n_runs, generator=generator).argsort(dim=1)
    lengths = lengths[order]  # (draw, run)
    # As many free frames and runs in a row: where the runs stand in it says how many free frames come before each.
    places = torch.rand(draws, n_free + n_runs, generator=generator).argsort(dim=1)[:, :n_runs].sort(dim=1).values
    start = places + lengths.cumsum(dim=1) - lengths  # places count the gap of one frame between runs too
    frame = torch.arange(len(row))[:, None, None]
    return ((frame >= start) & (frame < start + lengths)).any(dim=2).T


def _check(mask: Tensor, draws: int) -> None:
    if draws < 1 or mask.ndim != 2 or mask.dtype != torch.bool:
        raise InputError(
            f"{draws} draws of a {mask.dtype} mask of shape {tuple(mask.shape)}; 1 draw or more of a bool "
            "mask (batch, frame) are needed"
        )


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
