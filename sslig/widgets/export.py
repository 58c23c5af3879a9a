"""What the explorer shows, as files: pictures, tables, labels, and a page that plays without a kernel or a network."""

import base64
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML

from sslig.cues import tiers
from sslig.cues.tiers import Tier
from sslig.cues.top_regions import described, top_regions
from sslig.frames import SAMPLE_RATE_HZ
from sslig.plots.evidence import lanes
from sslig.widgets import view
from sslig.widgets.opened import Opened

Region = tuple[float, float]
"""Start and end in seconds."""

UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""What could end a script, and how JSON writes it otherwise."""

FRAME_PX = 640
"""Height of an embedded page until it has told its own."""


class ExportError(ValueError):
    """An export that is not known; the message says what is accepted."""


@dataclass(frozen=True)
class Exported:
    """A file: its name, its type and what is in it."""

    name: str
    mime: str
    content: bytes


@dataclass(frozen=True)
class Kind:
    """One way to export: what people are told of it, ending and type of the file, and what makes its content."""

    told: str
    ending: str
    mime: str
    make: Callable[[Opened, Mapping[str, Any], Region | None], bytes]


def exported(opened: Opened, kind: str, options: Mapping[str, Any], region: Region | None = None) -> Exported:
    """What is open as a file.

    Parameters
    ----------
    opened
        The recording.
    kind
        One of `KINDS`.
    options
        ``smooth``, ``common``, ``maps`` and ``hidden``, as the view has them.
    region
        What is selected.

    Raises
    ------
    ExportError
        The kind is unknown.
    """
    if kind not in KINDS:
        raise ExportError(f"export as {kind!r}; accepted: {', '.join(KINDS)}")
    one = KINDS[kind]
    stem = (
        "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in opened.name).strip(".") or "view"
    )
    return Exported(f"{stem}{one.ending}", one.mime, one.make(opened, options, region))


def frames_table(opened: Opened) -> pd.DataFrame:
    """A row a frame: its centre, the attribution of each detector, and the label of each tier there."""
    n_frames = opened.clock.n_frames(len(opened.waveform))
    centre_s = opened.clock.centre_s(n_frames)
    table = pd.DataFrame({"frame": np.arange(n_frames), "time_s": centre_s.round(6)})
    for name, one in opened.attributions.items():
        table[name] = one.by_frame
    for name, tier in opened.tiers.items():
        at = np.searchsorted(tier.start_s, centre_s, side="right") - 1
        inside = tier.mask(opened.clock, n_frames)
        table[name] = [tier.labels[i] if here else "" for i, here in zip(at, inside, strict=True)]
    return table


def region_tiers(opened: Opened, region: Region | None) -> list[Tier]:
    """The segments, the top regions of each detector (rank, direction and share of the evidence), the selection."""
    duration_s = len(opened.waveform) / SAMPLE_RATE_HZ
    found = [Tier(name, tier.start_s, np.minimum(tier.end_s, duration_s), tier.labels, duration_s, tier.source)
             for name, tier in opened.tiers.items()]  # fmt: skip
    for name, one in opened.attributions.items():
        table = described(top_regions(one.by_frame), opened.clock, opened.tiers or None).sort_values("start_s")
        labels = [f"{row.rank} {'spoof' if row.sign > 0 else 'bona fide'} {100 * row.share:.0f} % {row.segment_class}"
                  for row in table.itertuples()]  # fmt: skip
        found.append(Tier(f"{name} top regions", table["start_s"], table["end_s"], tuple(labels), duration_s, {}))
    if region is not None:
        found.append(Tier("selection", [region[0]], [min(region[1], duration_s)], ("selection",), duration_s, {}))
    return found


def html_page(message: Mapping[str, Any], numbers: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> str:
    """A page that shows and plays one recording by itself: nothing is loaded, no kernel is asked.

    Parameters
    ----------
    message
        As of `sslig.widgets.view.message`.
    numbers
        ``title``, and the tables ``scores`` and ``segments`` as of `sslig.widgets.opened.numbers`.
    options
        How the lanes are drawn at first.
    """
    data = json.dumps({"view": message, "numbers": numbers, "options": options or {}}, default=_coded, allow_nan=False)
    for letter, written in UNSAFE.items():
        data = data.replace(letter, written)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(str(numbers['title']))}</title>"
        f'<style>:root {{ color-scheme: light dark; }} body {{ margin: 6px; }}</style></head>'
        f'<body><main id="recording"></main>'
        f'<script type="application/json" id="data">{data}</script>'
        f'<script type="module">{view.module("player")}</script></body></html>\n'
    )  # fmt: skip


def embedded(page: str, title: str, height_px: int = FRAME_PX) -> HTML:
    """A page of `html_page` in a frame as wide as the column it stands in; it sets its height when it knows it."""
    return HTML(
        f'<div class="sslig-recording"><iframe title="{escape(title)}" srcdoc="{escape(page)}" loading="lazy" '
        f'style="width: 100%; height: {height_px}px; border: 0;"></iframe></div>'
    )


def player(opened: Opened, options: Mapping[str, Any] | None = None) -> HTML:
    """What is open as an embedded page, for a book: it plays where there is no kernel and no network."""
    return embedded(_page(opened, options or {}, None).decode(), opened.title())


def _page(opened: Opened, options: Mapping[str, Any], region: Region | None) -> bytes:
    return html_page(view.message(opened.recording()), opened.numbers(), options).encode()


def _coded(value: Any) -> dict[str, str]:
    """Bytes in JSON, as ``static/signals.js`` reads them."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} has no place in a page")
    return {"base64": base64.b64encode(value).decode("ascii")}


def _figure(form: str) -> Callable[[Opened, Mapping[str, Any], Region | None], bytes]:
    def make(opened: Opened, options: Mapping[str, Any], region: Region | None) -> bytes:
        hidden = options.get("hidden", [])
        shown = {name: one for name, one in opened.attributions.items() if name not in hidden}
        recording = opened.recording()
        figure = lanes(
            opened.waveform, {name: one.by_frame for name, one in shown.items()}, opened.clock,
            tiers={name: tier for name, tier in recording.tiers.items() if f"tier:{name}" not in hidden},
            layers={name: one.by_layer for name, one in shown.items()} if options.get("maps") else {},
            trend_frames=view.TREND_FRAMES, common_scale=bool(options.get("common")),
            smooth=bool(options.get("smooth")), region_s=region, title=opened.title(),
        )  # fmt: skip
        drawn = io.BytesIO()
        figure.savefig(drawn, format=form, dpi=200)
        return drawn.getvalue()

    return make


def _csv(opened: Opened, options: Mapping[str, Any], region: Region | None) -> bytes:
    return frames_table(opened).to_csv(index=False, lineterminator="\n").encode()


def _textgrid(opened: Opened, options: Mapping[str, Any], region: Region | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "view.TextGrid"
        tiers.write_textgrid(path, region_tiers(opened, region))
        return path.read_bytes()


def _audacity(opened: Opened, options: Mapping[str, Any], region: Region | None) -> bytes:
    """All regions as one label track: Audacity lets labels overlap, and their detector begins the label."""
    rows = [
        (start_s, end_s, f"{tier.name.removesuffix(' top regions')}: {label}")
        for tier in region_tiers(opened, region)
        if tier.name not in opened.tiers
        for start_s, end_s, label in zip(tier.start_s, tier.end_s, tier.labels, strict=True)
    ]
    return "".join(f"{start_s:.6f}\t{end_s:.6f}\t{label}\n" for start_s, end_s, label in sorted(rows)).encode()


KINDS = {
    "png": Kind("picture (PNG)", ".png", "image/png", _figure("png")),
    "svg": Kind("picture (SVG)", ".svg", "image/svg+xml", _figure("svg")),
    "csv": Kind("frames (CSV)", ".csv", "text/csv", _csv),
    "textgrid": Kind("segments and regions (TextGrid)", ".TextGrid", "text/plain", _textgrid),
    "audacity": Kind("top regions (Audacity labels)", ".txt", "text/plain", _audacity),
    "html": Kind("page that plays by itself (HTML)", ".html", "text/html", _page),
}
"""Every way to export, by name."""
