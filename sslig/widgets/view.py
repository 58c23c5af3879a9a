"""What the browser draws of one recording, as one message: sound, waveform, spectrogram, evidence, layers, segments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sslig import audio
from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.plots.listen import FLAC
from sslig.plots.style import detector_styles
from sslig.plots.timeline import RANGE_DB, TICKS_KHZ, mel_decibel, mel_share, trend

POINTS_PER_S = 800
"""Of the waveform: finer than a pixel until a second is as wide as the window."""

TREND_FRAMES = 15
"""Length of the running median that is drawn as a line, as in the figures of the book."""


class ViewError(ValueError):
    """A recording that cannot be shown; the message says what does not fit together."""


@dataclass(frozen=True)
class Lane:
    """The evidence of one detector.

    Parameters
    ----------
    name
        What is shown; by default it is the key too, which regions over this lane go by.
    frames
        (frame,) Attribution in logits, positive = evidence for spoof.
    by_layer
        (layer, frame) The same by layer, for a heat map; None for none.
    note
        A few words beside the name.
    key
        What the lane is called in messages; different from `name` where that hides the detector.
    """

    name: str
    frames: np.ndarray
    by_layer: np.ndarray | None = None
    note: str = ""
    key: str = ""


@dataclass(frozen=True)
class Recording:
    """One recording with all that is drawn of it.

    Parameters
    ----------
    name
        Of the utterance or file; shown as text.
    waveform
        (samples,) at 16 kHz, trimmed to whole frames.
    clock
        The frame grid.
    lanes
        Evidence, from top to bottom.
    tiers
        Segments by name, below it.
    """

    name: str
    waveform: np.ndarray
    clock: FrameClock
    lanes: list[Lane] = field(default_factory=list)
    tiers: Mapping[str, Tier] = field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        """Frames of the recording, and of every lane."""
        return self.clock.n_frames(len(self.waveform))

    @property
    def duration_s(self) -> float:
        """Length of what is shown and heard."""
        return len(self.waveform) / SAMPLE_RATE_HZ


def message(recording: Recording, *, spectrogram: bool = True, trend_frames: int = TREND_FRAMES) -> dict[str, Any]:
    """What ``view.show`` of ``static/lanes.js`` takes: text and numbers as they are, arrays as bytes.

    Parameters
    ----------
    recording
        What is drawn.
    spectrogram
        Whether there is one.
    trend_frames
        Length of the running median.

    Returns
    -------
    dict
        ``name``, ``duration_s``, ``audio`` (a FLAC file) and its ``mime``, ``peaks`` (int8: maxima, then minima),
        ``clock`` (``start_s``, ``hop_s``: frame t is drawn from start_s + t hop_s, one hop wide around its centre),
        ``spectrogram``, ``lanes`` (float32 ``frames`` and ``trend``), ``maps`` (float32 by layer and frame) and
        ``tiers`` with their ``stretches`` of start, end and label.

    Raises
    ------
    ViewError
        The recording has no frame, or a lane has another number of frames.
    """
    _check(recording)
    clock = recording.clock
    styles = detector_styles([lane.name for lane in recording.lanes])
    return {
        "name": recording.name,
        "duration_s": recording.duration_s,
        "audio": audio.flac_bytes(recording.waveform, recording.name),
        "mime": FLAC,
        "peaks": peaks(recording.waveform),
        "clock": {"start_s": float(clock.centre_s(1)[0] - clock.hop_s / 2), "hop_s": clock.hop_s},
        "spectrogram": _spectrogram(recording) if spectrogram else None,
        "lanes": [_lane(lane, styles[lane.name]["color"], trend_frames) for lane in recording.lanes],
        "maps": [_map(lane) for lane in recording.lanes if lane.by_layer is not None],
        "tiers": [_tier(name, tier) for name, tier in recording.tiers.items()],
    }


def peaks(waveform: np.ndarray) -> bytes:
    """The largest sample of each of the same many short stretches, then the smallest of each, as int8 of full scale."""
    n_points = max(1, min(len(waveform), int(len(waveform) / SAMPLE_RATE_HZ * POINTS_PER_S)))
    starts = np.arange(n_points) * len(waveform) // n_points
    found = [np.maximum.reduceat(waveform, starts), np.minimum.reduceat(waveform, starts)]
    return np.round(127 * np.clip(found, -1, 1)).astype(np.int8).tobytes()


def _check(recording: Recording) -> None:
    if recording.n_frames < 1:
        raise ViewError(f"{recording.name}: {len(recording.waveform)} samples are not one frame of "
                        f"{recording.clock.receptive_field_samples}")  # fmt: skip
    for lane in recording.lanes:
        shapes = {np.shape(lane.frames), *([] if lane.by_layer is None else [np.shape(lane.by_layer)[1:]])}
        if shapes != {(recording.n_frames,)}:
            raise ViewError(f"{recording.name}: {lane.name} has evidence of shape {sorted(shapes)}; one value for each "
                            f"of {recording.n_frames} frames is needed")  # fmt: skip


def _lane(lane: Lane, color: str, trend_frames: int) -> dict[str, Any]:
    told = {"key": lane.key or lane.name, "name": lane.name, "note": lane.note, "color": color}
    return told | {"frames": _floats(lane.frames), "trend": _floats(trend(lane.frames, trend_frames))}


def _map(lane: Lane) -> dict[str, Any]:
    rows, columns = lane.by_layer.shape
    return {"key": lane.key or lane.name, "rows": rows, "columns": columns, "values": _floats(lane.by_layer)}


def _spectrogram(recording: Recording) -> dict[str, Any]:
    decibel = mel_decibel(recording.waveform, recording.clock)  # (mel band, frame)
    loudness = np.clip(1 + (decibel - decibel.max()) / RANGE_DB, 0, 1)
    ticks = [[mel_share(khz), f"{khz:g}"] for khz in TICKS_KHZ[:-1]]
    values = np.round(255 * loudness).astype(np.uint8).tobytes()
    rows, columns = decibel.shape
    return {"values": values, "rows": rows, "columns": columns, "ticks": ticks, "unit": "kHz"}


def _tier(name: str, tier: Tier) -> dict[str, Any]:
    stretches = zip(tier.start_s.tolist(), tier.end_s.tolist(), tier.labels, strict=True)
    return {"key": f"tier:{name}", "name": name, "stretches": [list(stretch) for stretch in stretches]}


def _floats(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype="<f4").tobytes()
