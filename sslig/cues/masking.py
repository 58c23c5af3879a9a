"""Scores under masks, and under matched random controls: as much is taken away, in the same shape, only elsewhere.

A control has as many frames in runs of the same lengths (or a band as wide) elsewhere, and moves the features as far:
its change dx of the features is scaled to the displacement ||dx|| of the mask. Loud frames lie further from their
neighbours than silent ones, so that without scale a mask of silence would be compared with a larger dose.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sslig import scoring
from sslig.cues.edits import NYQUIST_HZ, band_gain
from sslig.cues.masks import BAND, CUT, FEATURE, SHIFT, Mask, Places
from sslig.cues.tiers import coverage, runs
from sslig.errors import DataError
from sslig.models.detector import Detector
from sslig.study import Scoring

APPLIED, NO_FRAMES, ALL_FRAMES = "applied", "no frames", "all frames"
"""What became of a mask in an utterance; the last two leave a frame mask no other place to be moved to."""

CHUNK_VALUES = 4_000_000
"""Feature values that go through a head at once: more only wait for memory on a CPU."""

WAVEFORMS_AT_ONCE = 8

ROUNDING = 1e-5
"""Scores of one input that is computed in another batch differ by less; a change this small is none."""

SMALLEST = 1e-6
"""A displacement this small a share of the largest is rounding, and cannot be scaled."""

DESCRIPTION = ["utterance", "key", "attack", "codec", "speaker"]


@torch.inference_mode()
def mask_scores(
    detector: Detector,
    utterances: pd.DataFrame,
    masks: Sequence[Mask],
    places: Places,
    profile: Tensor | None,
    options: Scoring,
    *,
    draws: int,
    seed: int,
    device: str | torch.device = "cpu",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score every utterance under every mask, and under `draws` masks of the same size and shape elsewhere.

    Parameters
    ----------
    places
        Where the masks act. Where the place is unknown in an utterance (it has no attribution, say), the table has no
        row for that mask.
    profile
        (layer, feature) Mean bona fide non-speech features, for ``noise``.
    draws
        Controls of each mask and utterance; at least 20 for a distribution that can be read.
    seed
        Decides, together with utterance and mask, the draws and the noise that is put in: a result does not depend on
        what else is masked.

    Returns
    -------
    masked, left_out
        One row an utterance and mask: `DESCRIPTION`, ``mask``, ``spoof_score``, ``masked_score``, ``control_scores``
        (draw,), ``status`` (`APPLIED`, `NO_FRAMES` or `ALL_FRAMES`), ``displacement`` ||dx|| of the features by the
        mask, ``control_displacements`` (draw,) of the controls before they were scaled to it (NaN where the recording
        gets shorter, and the frames cannot be compared), and the coverage of the mask (`sslig.cues.tiers.coverage`);
        and the utterances that could not be read, with the reason.

    Raises
    ------
    DataError
        No utterance could be read.
    """
    readable, left_out = scoring.one_by_one(utterances, detector, options, device)
    rows = []
    for row, waveform in readable:
        utterance = MaskedUtterance(detector, row["utterance"], waveform, draws, seed)
        about = row[DESCRIPTION].to_dict() | {"spoof_score": utterance.score}
        for mask in masks:
            frames = places.mask(mask, utterance.name, waveform, detector.clock, utterance.n_read)
            if frames is not None:
                rows.append(about | {"mask": mask.spec} | utterance.under(mask, frames, profile))
    without = left_out.table(utterances)
    if 0 < len(without) == len(utterances):
        raise DataError(f"none of {len(utterances)} utterances could be read; the first: {without['reason'].iloc[0]}")
    table = pd.DataFrame(rows, columns=None if rows else [*DESCRIPTION, "mask"])
    return table.sort_values(["mask", "utterance"], ignore_index=True), without


class MaskedUtterance:
    """One utterance on the device with its features, which all masks in feature space share.

    Make and use it without gradients, the detector in evaluation mode (`sslig.scoring.evaluating`), of a (1, samples)
    waveform that is trimmed to whole frames. The `name` decides draws, as `draws` and `seed` do in `mask_scores`.

    `score` is the spoof logit without a mask; of the `n_frames` the head reads the first `n_read`.
    """

    def __init__(self, detector: Detector, name: str, waveform: Tensor, draws: int, seed: int) -> None:
        self.detector, self.name, self.waveform, self.draws, self.seed = detector, name, waveform, draws, seed
        self.features = detector.features(waveform)  # (1, layer, frame, feature)
        self.score = detector.head(self.features).item()
        self.n_frames = self.features.shape[2]
        self.n_read = detector.read_frames(self.n_frames)
        # A mask replaces frames of features by weighted means of frames and the profile. Such means may be taken
        # before or after an affine map of each frame, and after it there is less to copy.
        self.projected = detector.head.project(self.features)

    def under(self, mask: Mask, frames: Tensor, profile: Tensor | None) -> dict[str, object]:
        """``masked_score``, ``control_scores`` (draw,), ``status`` and the other columns of `mask_scores` under a mask.

        It acts on (1, frame) bool `frames`, all of them where it has no place.
        """
        generator, frames = self._generator(mask), self._seen(mask, frames)
        covered = coverage(frames[0].cpu().numpy(), self.detector.clock)
        status = ALL_FRAMES if frames.all() and mask.place else APPLIED if frames.any() else NO_FRAMES
        if status == NO_FRAMES:
            scores = np.full(1 + self.draws * bool(mask.control), self.score)
            displacements = np.zeros(len(scores))
        elif mask.space == FEATURE:
            scores, displacements = self._in_features(mask, frames, profile, generator)
        else:
            scores, displacements = self._in_waveform(mask, frames, generator, status)
        scores = np.where(np.isclose(scores, self.score, rtol=ROUNDING, atol=ROUNDING), self.score, scores)
        moved = {"displacement": displacements[0], "control_displacements": displacements[1:]}
        return {"masked_score": scores[0], "control_scores": scores[1:], "status": status} | moved | covered

    def recording(self, mask: Mask, frames: Tensor) -> Tensor:
        """(samples,) The recording under a mask in the waveform, as `under` scores it."""
        generator, frames = self._generator(mask), self._seen(mask, frames)
        if not frames.any() or (frames.all() and mask.control == CUT):  # nothing would change, or be left
            return self.waveform[0]
        return self._changed(mask, frames, generator)[0]

    def _generator(self, mask: Mask) -> torch.Generator:
        return torch.Generator().manual_seed(crc32(f"{self.seed} {self.name} {mask.spec}".encode()))

    def _seen(self, mask: Mask, frames: Tensor) -> Tensor:
        """Without the frames that the head does not read, where controls are shifted among those that it reads."""
        if mask.control != SHIFT:
            return frames
        return frames & (torch.arange(self.n_frames, device=frames.device) < self.n_read)

    def _in_features(
        self, mask: Mask, frames: Tensor, profile: Tensor | None, generator: torch.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(1 + draw,) Scores under the mask and its controls, and their displacements."""
        head, profile = self.detector.head, None if profile is None else profile.to(self.waveform)
        moved = with_controls(mask, frames, self.n_read, self.draws, generator)  # (1 + draw, frame)
        at_once = max(1, CHUNK_VALUES // self.features[0].numel())
        displacements = torch.cat(
            [
                displacement(mask.features(self.features.expand(len(part), -1, -1, -1), part, profile), self.features)
                for part in moved.split(at_once)
            ]
        )
        scale = scales(displacements)[:, None, None, None]
        if profile is not None:
            profile = head.project(profile[None, :, None])[0, :, 0]
        scores, at_once = [], max(1, CHUNK_VALUES // self.projected[0].numel())
        for part, factor in zip(moved.split(at_once), scale.split(at_once), strict=True):
            changed = mask.features(self.projected.expand(len(part), -1, -1, -1), part, profile)
            scores.append(head.decide(scaled(changed, self.projected, factor)))
        return torch.cat(scores).double().cpu().numpy(), displacements.double().cpu().numpy()

    def _in_waveform(
        self, mask: Mask, frames: Tensor, generator: torch.Generator, status: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """(1 + draw,) Scores of the masked recording and of its controls, and their displacements."""
        clock, unknown = self.detector.clock, np.full(1 + self.draws, np.nan)
        if status == ALL_FRAMES and mask.control == CUT:  # nothing would be left
            return np.full(1 + self.draws, self.score), unknown
        changed = self._changed(mask, frames, generator)  # (1 + draw, samples)
        n_frames = clock.n_frames(changed.shape[1])
        if n_frames < self.detector.min_frames:
            return np.full(len(changed), self.score), unknown[: len(changed)]  # too short for the head
        scores, displacements, dose = [], [], None
        for part in changed[:, : clock.n_samples(n_frames)].split(WAVEFORMS_AT_ONCE):
            features = self.detector.features(part)
            if n_frames == self.n_frames:
                displacements.append(displacement(features, self.features))
                dose = displacements[0][:1] if dose is None else dose
                factor = scales(torch.cat([dose, displacements[-1]]))[1:, None, None, None]
                features = scaled(features, self.features, factor)
            scores.append(self.detector.head(features))
        moved = torch.cat(displacements).double().cpu().numpy() if displacements else unknown[: len(changed)]
        return torch.cat(scores).double().cpu().numpy(), moved

    def _changed(self, mask: Mask, frames: Tensor, generator: torch.Generator) -> Tensor:
        """(1 + draw, samples) The masked recording, then the same at places of the same size."""
        clock = self.detector.clock
        if mask.control is None:
            return mask.waveforms(self.waveform, frames, clock, generator)
        if mask.control == BAND:
            lo_hz, hi_hz, gain = (mask.parameters[name] for name in ("lo_hz", "hi_hz", "gain"))
            edges_hz = [(lo_hz, hi_hz), *bands(lo_hz, hi_hz, self.draws, generator)]
            return torch.cat([band_gain(self.waveform, lo, hi, gain) for lo, hi in edges_hz])
        moved = with_controls(mask, frames, self.n_read, self.draws, generator)  # (1 + draw, frame)
        return mask.waveforms(self.waveform.expand(len(moved), -1), moved, clock, generator)


def displacement(changed: Tensor, features: Tensor) -> Tensor:
    """(row,) ||dx|| between (row, layer, frame, feature) and the (1, layer, frame, feature) that they were made of."""
    return torch.linalg.vector_norm(changed - features, dim=(1, 2, 3))


def scales(displacements: Tensor) -> Tensor:
    """(row,) Factors that give each change the displacement of the first; 1 for what changes nothing."""
    still = displacements <= SMALLEST * displacements.max()
    factors = displacements[0] / displacements.masked_fill(still, 1.0)
    return factors.masked_fill(still, 1.0).masked_fill(displacements == displacements[0], 1.0)


def scaled(changed: Tensor, given: Tensor, factors: Tensor) -> Tensor:
    """`changed` with its distance from `given` multiplied by (row, 1, 1, 1) factors; exact where the factor is 1."""
    return torch.where(factors == 1, changed, given + factors * (changed - given))


def with_controls(mask: Mask, frames: Tensor, n_read: int, draws: int, generator: torch.Generator) -> Tensor:
    """(1 + draw, frame) The (1, frame) frames of a mask, then as many elsewhere.

    Frames are shifted among those that the head reads: a control that slid out of its sight would be too weak.
    """
    if mask.control == CUT:
        moved = cuts(frames[0].cpu(), draws, generator)
    else:
        moved = frames.cpu().repeat(draws, 1)
        moved[:, :n_read] = shifted(frames[0, :n_read].cpu(), draws, generator)
    return torch.cat([frames, moved.to(frames.device)])


def shifted(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, frame) Masks with as many frames as a (frame,) mask on the CPU, in runs of the same lengths, elsewhere.

    Each is the mask shifted circularly by 1 to T - 1 frames, out of the shifts that neither split a run over the two
    ends nor join two there, so gaps keep their lengths too. With more draws than such shifts each comes up equally
    often, give or take one. A mask that reaches both ends has no such shift: its runs are placed anew, in random order
    and with random gaps of at least one frame. Empty and full masks, and masks of one frame, stay as they are.
    """
    reversed_ = mask.flip(0)  # a shift by s brings the frames T - s and T - 1 - s to the two ends
    whole = ~(reversed_[:-1] & reversed_[1:]) & ~(mask[:1] & mask[-1:])  # (shift,)
    shifts = _drawn(whole, draws, generator)
    return _rolled(mask, shifts) if whole.any() else _placed(mask, draws, generator)


def cuts(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, frame) As many frames as a (frame,) mask of both ends (`sslig.cues.edits.edge_runs`), as one run inside.

    A circular shift joins both ends to one run; shifts are drawn so that it does not overlap the mask. Where the mask
    covers more than half of the recording that is impossible, and any shift is drawn.
    """
    shift = torch.arange(1, len(mask))
    inside = (shift >= mask.sum()) & (shift <= len(mask) - mask.sum())  # (shift,)
    return _rolled(mask, _drawn(inside, draws, generator))


def bands(lo_hz: float, hi_hz: float, draws: int, generator: torch.Generator) -> list[tuple[float, float]]:
    """Bands as wide as `lo_hz` to `hi_hz`, placed uniformly where they do not overlap it, or anywhere without room.

    Equal width is not equal energy: most of the energy of speech lies below 1 kHz.
    """
    width = hi_hz - lo_hz
    below, above = max(0.0, lo_hz - width), max(0.0, NYQUIST_HZ - width - hi_hz)
    place = torch.rand(draws, generator=generator, dtype=torch.float64)
    if below + above > 0:
        place = place * (below + above)
        lows = torch.where(place < below, place, hi_hz + place - below)
    else:
        lows = place * (NYQUIST_HZ - width)
    return [(low, min(low + width, NYQUIST_HZ)) for low in lows.tolist()]


def _placed(mask: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(draw, frame) The runs of a mask in random order, all ways to leave gaps between them as likely."""
    lengths = torch.from_numpy(np.diff(runs(mask.numpy()), axis=1).ravel())  # (run,)
    n_runs, n_free = len(lengths), len(mask) - int(lengths.sum()) - max(0, len(lengths) - 1)
    order = torch.rand(draws, n_runs, generator=generator).argsort(dim=1)
    lengths = lengths[order]  # (draw, run)
    # As many free frames and runs in a row: where the runs stand in it says how many free frames come before each.
    places = torch.rand(draws, n_free + n_runs, generator=generator).argsort(dim=1)[:, :n_runs].sort(dim=1).values
    start = places + lengths.cumsum(dim=1) - lengths  # places count the gap of one frame between runs too
    frame = torch.arange(len(mask))[:, None, None]
    return ((frame >= start) & (frame < start + lengths)).any(dim=2).T


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
