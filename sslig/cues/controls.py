"""Matched random controls: as much is masked, in the same shape, only elsewhere."""

import torch
from torch import Tensor

from sslig.errors import InputError

HIGHEST_HZ = 8000.0


def shifted(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, frame) Masks with as many frames in runs of the same lengths, elsewhere.

    Each is the mask shifted circularly by 1 to T - 1 frames, out of the shifts that neither split a run over the two
    ends nor join two there, so gaps keep their lengths too. With more draws than such shifts each comes up equally
    often, give or take one. A mask that reaches both ends has no such shift: its runs are placed anew, in random order
    and with random gaps of at least one frame. Empty and full masks, and masks of one frame, stay as they are.

    Parameters
    ----------
    mask
        (frame,) bool on the CPU.
    draws
        At least 20 for a control distribution that can be read.
    generator
        Draws the places.

    Raises
    ------
    InputError
        The mask is no (frame,) bool tensor, or there is nothing to draw.
    """
    _check(mask, draws)
    reversed_ = mask.flip(0)  # a shift by s brings the frames T - s and T - 1 - s to the two ends
    whole = ~(reversed_[:-1] & reversed_[1:]) & ~(mask[:1] & mask[-1:])  # (shift,)
    shifts = _drawn(whole, draws, generator)
    return _rolled(mask, shifts) if whole.any() else _placed(mask, draws, generator)


def cuts(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, frame) As many frames as silence takes at both ends, as one run inside the recording.

    A circular shift joins both ends to one run; shifts are drawn so that it does not overlap the mask. Where the mask
    covers more than half of the recording that is impossible, and any shift is drawn.

    Parameters
    ----------
    mask
        (frame,) bool on the CPU: runs at the ends (`sslig.cues.feature_masks.edge_runs`).
    draws, generator
        See `shifted`.

    Raises
    ------
    InputError
        The mask is no (frame,) bool tensor, or there is nothing to draw.
    """
    _check(mask, draws)
    shift = torch.arange(1, len(mask))
    inside = (shift >= mask.sum()) & (shift <= len(mask) - mask.sum())  # (shift,)
    return _rolled(mask, _drawn(inside, draws, generator))


def bands(lo_hz: float, hi_hz: float, draws: int, generator: torch.Generator) -> list[tuple[float, float]]:
    """Bands as wide as `lo_hz` to `hi_hz`, placed uniformly where they do not overlap it, or anywhere without room.

    Equal width is not equal energy: most of the energy of speech lies below 1 kHz.

    Raises
    ------
    InputError
        The band is no part of the range, or there is nothing to draw.
    """
    if draws < 1 or not 0 <= lo_hz < hi_hz <= HIGHEST_HZ:
        raise InputError(
            f"{draws} draws of a band from {lo_hz} to {hi_hz} Hz; accepted: 1 draw or more, and "
            f"0 <= lo_hz < hi_hz <= {HIGHEST_HZ:g}"
        )
    width = hi_hz - lo_hz
    below, above = max(0.0, lo_hz - width), max(0.0, HIGHEST_HZ - width - hi_hz)
    place = torch.rand(draws, generator=generator, dtype=torch.float64)
    if below + above > 0:
        place = place * (below + above)
        lows = torch.where(place < below, place, hi_hz + place - below)
    else:
        lows = place * (HIGHEST_HZ - width)
    return [(low, min(low + width, HIGHEST_HZ)) for low in lows.tolist()]


def _placed(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, frame) The runs of a mask in random order, all ways to leave gaps between them as likely."""
    step = torch.diff(mask.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    lengths = (step == -1).nonzero()[:, 0] - (step == 1).nonzero()[:, 0]  # (run,)
    n_runs, n_free = len(lengths), len(mask) - int(lengths.sum()) - max(0, len(lengths) - 1)
    order = torch.rand(draws, n_runs, generator=generator).argsort(dim=1)
    lengths = lengths[order]  # (draw, run)
    # As many free frames and runs in a row: where the runs stand in it says how many free frames come before each.
    places = torch.rand(draws, n_free + n_runs, generator=generator).argsort(dim=1)[:, :n_runs].sort(dim=1).values
    start = places + lengths.cumsum(dim=1) - lengths  # places count the gap of one frame between runs too
    frame = torch.arange(len(mask))[:, None, None]
    return ((frame >= start) & (frame < start + lengths)).any(dim=2).T


def _check(mask: Tensor, draws: int) -> None:
    if draws < 1 or mask.ndim != 1 or mask.dtype != torch.bool:
        raise InputError(
            f"{draws} draws of a {mask.dtype} mask of shape {tuple(mask.shape)}; 1 draw or more of a bool mask "
            "(frame,) are needed"
        )


def _drawn(allowed: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw,) Shifts out of the (shift,) allowed ones, or out of all, none twice before all came up once."""
    if not len(allowed):
        return torch.zeros(draws, dtype=torch.long)
    allowed = allowed if allowed.any() else torch.ones_like(allowed)
    order = torch.rand(len(allowed), generator=generator).masked_fill(~allowed, 2.0).argsort()
    return 1 + order[torch.arange(draws) % allowed.sum()]


def _rolled(mask: Tensor, shifts: Tensor) -> Tensor:
    """(draw, frame) The mask moved on by (draw,) frames."""
    frame = torch.arange(len(mask))
    return mask[(frame - shifts[:, None]) % max(1, len(mask))]
