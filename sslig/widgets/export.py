"""What the explorer shows, as files: pictures, tables, labels, and a page that plays without a kernel or a network."""

import base64
import io
import json
import re
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sslig.cues import tiers
from sslig.cues.cue_profile import described, top_regions
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.widgets import view
from sslig.widgets.recording import ExplainedRecording

Region = tuple[float, float]
"""Start and end in seconds."""

UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Characters that could end a script, and how JSON writes them otherwise."""

FRAME_PX = 640
"""Height of an embedded page until the page reports its own."""

KINDS = {
    "png": ("picture (PNG)", ".png", "image/png"),
    "svg": ("picture (SVG)", ".svg", "image/svg+xml"),
    "csv": ("frames (CSV)", ".csv", "text/csv"),
    "textgrid": ("segments and regions (TextGrid)", ".TextGrid", "text/plain"),
    "audacity": ("top regions (Audacity labels)", ".txt", "text/plain"),
    "html": ("page that plays by itself (HTML)", ".html", "text/html"),
}
"""Kind of export -> its description, and the ending and the type of the file."""


class Exported(NamedTuple):
    """A file: its name, its type and its content."""

    name: str
    mime: str
    content: bytes


def exported(
    recording: ExplainedRecording, kind: str, options: Mapping[str, Any], region: Region | None = None
) -> Exported:
    """An open recording as a file of one of `KINDS`, drawn with the `options` of the view and the selected `region`.

    Raises
    ------
    InputError
        The kind is unknown.
    """
    if kind not in KINDS:
        raise InputError(f"export as {kind!r}; accepted: {', '.join(KINDS)}")
    _, ending, mime = KINDS[kind]
    stem = re.sub(r"[^\w.-]", "_", recording.name).strip(".") or "view"
    return Exported(f"{stem}{ending}", mime, _content(recording, kind, options, region))


def _content(recording: ExplainedRecording, kind: str, options: Mapping[str, Any], region: Region | None) -> bytes:
    if kind in ("png", "svg"):
        return _picture(recording, kind, options, region)
    if kind == "textgrid":
        return _textgrid(region_tiers(recording, region))
    if kind == "csv":
        return frames_table(recording).to_csv(index=False, lineterminator="\n").encode()
    return (_audacity(recording, region) if kind == "audacity" else html_page(recording, options)).encode()


def frames_table(recording: ExplainedRecording) -> pd.DataFrame:
    """One row a frame: its centre, the attribution of each detector, and the label of each tier at the centre."""
    n_frames = recording.clock.n_frames(len(recording.waveform))
    centre_s = recording.clock.centre_s(n_frames)
    table = pd.DataFrame({"frame": np.arange(n_frames), "time_s": centre_s.round(6)})
    for name, explanation in recording.explanations.items():
        table[name] = explanation.by_frame
    for name, tier in recording.tiers.items():
        at = np.searchsorted(tier.start_s, centre_s, side="right") - 1
        inside = tier.mask(recording.clock, n_frames)
        table[name] = [tier.labels[i] if here else "" for i, here in zip(at, inside, strict=True)]
    return table


def region_tiers(recording: ExplainedRecording, region: Region | None) -> list[Tier]:
    """The segments, the top regions of each detector (rank, direction and share of the evidence), the selection."""
    duration_s = recording.duration_s
    result = [
        Tier(name, tier.start_s, np.minimum(tier.end_s, duration_s), tier.labels, duration_s, tier.source)
        for name, tier in recording.tiers.items()
    ]
    directions = {1: "spoof", -1: "bona fide"}
    for name, explanation in recording.explanations.items():
        regions = described(top_regions(explanation.by_frame), recording.clock, recording.tiers or None)
        rows = list(regions.sort_values("start_s").itertuples())
        labels = [f"{row.rank} {directions[row.sign]} {100 * row.share:.0f} % {row.segment_class}" for row in rows]
        starts_s, ends_s = [row.start_s for row in rows], [row.end_s for row in rows]
        result.append(Tier(f"{name} top regions", starts_s, ends_s, tuple(labels), duration_s, {}))
    if region is not None:
        result.append(Tier("selection", [region[0]], [min(region[1], duration_s)], ("selection",), duration_s, {}))
    return result


def html_page(recording: ExplainedRecording, options: Mapping[str, Any] | None = None) -> str:
    """A page that shows and plays one recording; it loads nothing and needs no kernel."""
    content = {"view": recording.view(), "numbers": recording.numbers(), "options": options or {}}
    data = json.dumps(content, default=_coded, allow_nan=False)
    for letter, replacement in UNSAFE.items():
        data = data.replace(letter, replacement)
    values = {"title": escape(recording.title()), "data": data, "module": view.module("player")}
    return Template(view.static("player.html")).substitute(values)


def player(recording: ExplainedRecording) -> Any:
    """The page of a recording in a frame, for a book; the frame takes the height of the page once that is loaded."""
    from IPython.display import HTML

    return HTML(
        f'<div class="sslig-recording"><iframe title="{escape(recording.title())}" '
        f'srcdoc="{escape(html_page(recording))}" loading="lazy" '
        f'style="width: 100%; height: {FRAME_PX}px; border: 0;"></iframe></div>'
    )


def _coded(value: Any) -> dict[str, str]:
    """Bytes in JSON, as ``static/signals.js`` reads them."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be part of a page")
    return {"base64": base64.b64encode(value).decode("ascii")}


def _picture(recording: ExplainedRecording, form: str, options: Mapping[str, Any], region: Region | None) -> bytes:
    from sslig.plots.evidence import lanes

    hidden = options.get("hidden", [])
    shown = {name: explanation for name, explanation in recording.explanations.items() if name not in hidden}
    figure = lanes(
        recording.waveform,
        {name: explanation.by_frame for name, explanation in shown.items()},
        recording.clock,
        tiers={name: tier for name, tier in recording.shown_tiers().items() if f"tier:{name}" not in hidden},
        layers={name: explanation.by_layer for name, explanation in shown.items()} if options.get("maps") else {},
        common_scale=bool(options.get("common")),
        smooth=bool(options.get("smooth")),
        region_s=region,
        title=recording.title(),
    )
    picture = io.BytesIO()
    figure.savefig(picture, format=form, dpi=200)
    return picture.getvalue()


def _textgrid(parts: list[Tier]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "view.TextGrid"
        tiers.write_textgrid(path, parts)
        return path.read_bytes()


def _audacity(recording: ExplainedRecording, region: Region | None) -> str:
    """All regions as one label track, since Audacity lets labels overlap; each label begins with its detector."""
    rows = [
        (start_s, end_s, f"{tier.name.removesuffix(' top regions')}: {label}")
        for tier in region_tiers(recording, region)
        if tier.name not in recording.tiers
        for start_s, end_s, label in zip(tier.start_s, tier.end_s, tier.labels, strict=True)
    ]
    return "".join(f"{start_s:.6f}\t{end_s:.6f}\t{label}\n" for start_s, end_s, label in sorted(rows))
