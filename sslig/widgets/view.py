"""What the browser is sent: the code of a page as one ES module, and a recording as one message."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from sslig import audio
from sslig.cues.tiers import Tier
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.plots.colours import detector_styles
from sslig.plots.signals import RANGE_DB, TICKS_KHZ, mel_decibel, mel_share, trend

PLUGINS = ("Regions", "Timeline", "Hover", "Zoom")
SCRIPTS = {"WaveSurfer": "js/wavesurfer.min.js"} | {name: f"js/plugins/{name.lower()}.min.js" for name in PLUGINS}
"""Name in our modules -> file of the Python package wavesurfer, which ships releases of wavesurfer.js."""

STATIC = Path(__file__).with_name("static")
LICENCE = "wavesurfer.LICENSE.txt"
"""The licence of wavesurfer requires its notice in every copy, exported pages included."""

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class)\b)", re.MULTILINE)

FINE = FrameClock(hop_samples=80, receptive_field_samples=400)
"""Columns of the spectrogram: 25 ms every 5 ms."""

POINTS_PER_S = 800
"""Points of the drawn waveform: finer than a pixel until one second fills the window."""

# ---------------------------------------------------------------- code


@cache
def module(entry: str) -> str:
    """The text of ``static/<entry>.js`` with everything it imports before it, as one ES module.

    The modules share one scope, in the order of their imports, so no two may define the same top-level name. Style
    sheets of the same names are joined in the constant ``STYLES``.
    """
    names = _in_order(entry, [])
    sheets = "".join(static(f"{name}.css") for name in names if (STATIC / f"{name}.css").is_file())
    library = [_library(name, file) for name, file in SCRIPTS.items()]
    sources = [EXPORT.sub("", IMPORT.sub("", static(f"{name}.js"))) for name in names]
    notice = f"/*!\n{static(LICENCE).strip()}\n*/"
    return "\n".join([notice, *library, f"const STYLES = {json.dumps(sheets)};", *sources])


def _in_order(name: str, above: list[str]) -> list[str]:
    """`above`, then the modules that `name` imports, then `name`."""
    for needed in IMPORT.findall(static(f"{name}.js")):
        above = above if needed in above else _in_order(needed, above)
    return [*above, name]


def _library(name: str, file: str) -> str:
    """A file of the library as a constant; the CommonJS ``module`` keeps it from setting globals of the page."""
    # Located, not imported: the package loads codecs that the browser files do not need.
    path = Path(metadata.distribution("wavesurfer").locate_file(f"wavesurfer/{file}"))
    scope = f"{{\n{path.read_text(encoding='utf-8')}\nreturn module.exports;\n}}"
    return f"const {name} = ((module, exports, define) => {scope})({{exports: {{}}}}, {{}});"


def static(name: str) -> str:
    """The text of a file in ``static/``."""
    return (STATIC / name).read_text(encoding="utf-8")


# ---------------------------------------------------------------- messages


def split(message: Any) -> tuple[Any, list[bytes]]:
    """Separate a message of mappings, lists and plain values from its bytes: ``{"bytes": 0}`` stands for the first."""
    buffers: list[bytes] = []
    return _split(message, buffers), buffers


def _split(message: Any, buffers: list[bytes]) -> Any:
    if isinstance(message, bytes):
        buffers.append(message)
        return {"bytes": len(buffers) - 1}
    if isinstance(message, dict):
        return {name: _split(value, buffers) for name, value in message.items()}
    return [_split(value, buffers) for value in message] if isinstance(message, list | tuple) else message


def join(message: Any, buffers: Sequence[bytes]) -> Any:
    """Put the bytes of a message back; the inverse of `split`."""
    if isinstance(message, dict):
        if message.keys() == {"bytes"} and isinstance(message["bytes"], int):
            return buffers[message["bytes"]]
        return {name: join(value, buffers) for name, value in message.items()}
    return [join(value, buffers) for value in message] if isinstance(message, list) else message


# ---------------------------------------------------------------- recordings


class Lane(NamedTuple):
    """The evidence of one detector.

    Attributes
    ----------
    name, note
        The detector, and a few words shown beside it.
    frames
        (frame,) Attribution in logits; positive is evidence for spoof.
    by_layer
        (layer, frame) The same by layer, for a heat map; None for no heat map.
    read_s
        The end of what the head reads, where it stops before the recording does; what follows is hatched.
    """

    name: str
    frames: np.ndarray
    by_layer: np.ndarray | None = None
    note: str = ""
    read_s: float | None = None


def message(
    name: str,
    waveform: np.ndarray,
    clock: FrameClock,
    lanes: Sequence[Lane] = (),
    tiers: Mapping[str, Tier] = MappingProxyType({}),
) -> dict[str, Any]:
    """What ``view.show`` in ``static/lanes.js`` draws: text and numbers as they are, arrays as bytes.

    Parameters
    ----------
    waveform
        (samples,) at 16 kHz in whole frames of the clock.
    lanes, tiers
        Evidence on the frames of the clock, and segments by name.

    Returns
    -------
    dict
        ``name``, ``duration_s``, ``audio`` (a FLAC file) and its ``mime``, ``peaks`` (int8: maxima, then minima),
        ``clock`` (``start_s``, ``hop_s``: frame t is drawn from start_s + t hop_s, one hop wide around its centre),
        ``spectrogram`` (on a ``clock`` of 5 ms), ``lanes`` (float32 ``frames`` and ``trend``), ``maps`` (float32 by
        layer and frame) and ``tiers`` with their ``stretches`` of start, end and label.
    """
    styles = detector_styles([lane.name for lane in lanes])
    return {
        "name": name,
        "duration_s": len(waveform) / SAMPLE_RATE_HZ,
        "audio": audio.flac_bytes(waveform, name),
        "mime": "audio/flac",
        "peaks": peaks(waveform),
        "clock": drawn(clock),
        "spectrogram": _spectrogram(waveform),
        "lanes": [_lane(lane, styles[lane.name]["color"]) for lane in lanes],
        "maps": [_map(lane) for lane in lanes if lane.by_layer is not None],
        "tiers": [_tier(key, tier) for key, tier in tiers.items()],
    }


def peaks(waveform: np.ndarray) -> bytes:
    """Largest, then smallest sample of equally many short stretches, as int8 of full scale."""
    n_points = max(1, min(len(waveform), int(len(waveform) / SAMPLE_RATE_HZ * POINTS_PER_S)))
    starts = np.arange(n_points) * len(waveform) // n_points
    extremes = [np.maximum.reduceat(waveform, starts), np.minimum.reduceat(waveform, starts)]
    return np.round(127 * np.clip(extremes, -1, 1)).astype(np.int8).tobytes()


def _lane(lane: Lane, color: str) -> dict[str, Any]:
    described = {"key": lane.name, "name": lane.name, "note": lane.note, "color": color, "read_s": lane.read_s}
    return described | {"frames": _floats(lane.frames), "trend": _floats(trend(lane.frames))}


def _map(lane: Lane) -> dict[str, Any]:
    rows, columns = lane.by_layer.shape
    return {"key": lane.name, "rows": rows, "columns": columns, "values": _floats(lane.by_layer)}


def _spectrogram(waveform: np.ndarray) -> dict[str, Any]:
    """Loudness on a grid finer than the frames, which stays sharp when the view is zoomed; silence is white."""
    decibel = mel_decibel(waveform, FINE)  # (mel band, column)
    loudness = np.clip(1 + (decibel - decibel.max()) / RANGE_DB, 0, 1) * bool(np.any(waveform))
    ticks = [[mel_share(khz), f"{khz:g}"] for khz in TICKS_KHZ[:-1]]
    values = np.round(255 * loudness).astype(np.uint8).tobytes()
    rows, columns = decibel.shape
    clock = drawn(FINE)
    return {"values": values, "rows": rows, "columns": columns, "clock": clock, "ticks": ticks, "unit": "kHz"}


def matrix(values: np.ndarray, clock: FrameClock) -> dict[str, Any]:
    """(row, column) Values and their clock, as `static/signals.js` draws them."""
    rows, columns = values.shape
    return {"values": _floats(values), "rows": rows, "columns": columns, "clock": drawn(clock)}


def drawn(clock: FrameClock) -> dict[str, float]:
    """Frame t is drawn from start_s + t hop_s, one hop wide around its centre."""
    return {"start_s": float(clock.centre_s(1)[0] - clock.hop_s / 2), "hop_s": clock.hop_s}


def _tier(name: str, tier: Tier) -> dict[str, Any]:
    stretches = zip(tier.start_s.tolist(), tier.end_s.tolist(), tier.labels, strict=True)
    return {"key": f"tier:{name}", "name": name, "stretches": [list(stretch) for stretch in stretches]}


def _floats(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype="<f4").tobytes()
