"""An open recording: sound, explanations and segments; its tables and exports; and files that visitors bring."""

import base64
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path, PurePosixPath, PureWindowsPath
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sslig import audio
from sslig.cues import tiers
from sslig.cues.cue_profile import described, top_regions
from sslig.cues.tiers import Tier
from sslig.errors import InputError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock, energy
from sslig.widgets import view

SHOWN_TIERS = ("speech", "phones", "words")
"""Segments that are drawn, from top to bottom; voicing serves masks only."""

LARGEST_BYTES = 50 * 2**20
"""Largest file that is accepted: more than a minute of any common format."""

SILENT_DBFS = -70.0
"""A recording below it holds nothing to hear."""
MANY_ZEROS, MANY_CLIPPED, FULL_SCALE = 0.1, 0.001, 0.999
"""Shares of frames of zeros, and of samples at full scale, above which a reader is warned."""

PART_BYTES = 2**20
"""Size of one message of an upload; notebook servers refuse messages above 10 MiB."""

UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Characters that could end a script, and how JSON writes them otherwise."""

KINDS = {
    "png": ("picture (PNG)", ".png", "image/png"),
    "svg": ("picture (SVG)", ".svg", "image/svg+xml"),
    "csv": ("frames (CSV)", ".csv", "text/csv"),
    "textgrid": ("segments and regions (TextGrid)", ".TextGrid", "text/plain"),
    "audacity": ("top regions (Audacity labels)", ".txt", "text/plain"),
    "html": ("page that plays by itself (HTML)", ".html", "text/html"),
    "report": ("report on one page, to print (HTML)", ".report.html", "text/html"),
    "json": ("everything as numbers (JSON)", ".json", "application/json"),
}
"""Kind of export -> its description, and the ending and the type of the file."""

Region = tuple[float, float]
"""Start and end in seconds."""


@dataclass(frozen=True)
class ExplainedRecording:
    """A recording with the explanations of the detectors.

    Attributes
    ----------
    name, about
        The utterance or the file; ``key``, ``attack``, ``codec``, ``speaker`` and ``group``, none of them for a file.
    waveform, clock
        (samples,) at 16 kHz, as it was scored: whole frames of the clock.
    explanations, llrs
        Detector -> its explanation (`sslig.attribution.explanation`), and its calibrated log-likelihood ratio.
    tiers
        Segments by name; empty until they are decoded.
    thresholds
        Detector -> the spoof score from which on it decides for spoof (EER threshold of *dev*).
    notices
        What a reader must know of the sound: ``kind`` and values (`notices`).
    verdicts
        Detector -> its top region and its score without it (`sslig.widgets.bench.Bench.verdict`), once they are known.
    source
        What an uploaded file is (`source`).
    """

    name: str
    about: Mapping[str, str]
    waveform: np.ndarray
    clock: FrameClock
    explanations: Mapping[str, Any]
    llrs: Mapping[str, float]
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    notices: Sequence[Mapping[str, Any]] = ()
    verdicts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length of what is shown and heard."""
        return len(self.waveform) / SAMPLE_RATE_HZ

    def shown_tiers(self) -> dict[str, Tier]:
        """The tiers that are drawn, in their order."""
        return {name: self.tiers[name] for name in SHOWN_TIERS if name in self.tiers}

    def read_s(self) -> dict[str, float]:
        """Detector -> the end of what its head reads, for those that stop before the recording does."""
        n_frames = self.clock.n_frames(len(self.waveform))
        n_read = {name: len(np.trim_zeros(part.by_frame, "b")) for name, part in self.explanations.items()}
        end_s = self.clock.centre_s(n_frames) + self.clock.hop_s / 2
        return {name: float(end_s[n - 1]) for name, n in n_read.items() if 0 < n < n_frames}

    def view(self) -> dict[str, Any]:
        """What the browser draws (`sslig.widgets.view.message`)."""
        read_s = self.read_s()
        lanes = [
            view.Lane(name, part.by_frame, part.by_layer, f"score {part.spoof_score:+.2f}", read_s.get(name))
            for name, part in self.explanations.items()
        ]
        return view.message(self.name, self.waveform, self.clock, lanes, self.shown_tiers())

    def title(self) -> str:
        """Name and label in one line."""
        if not self.about:
            return f"{self.name}: your own file"
        label = "bona fide" if self.about["key"] == "bonafide" else f"spoof by {self.about['attack']}"
        codec = "" if self.about["codec"] in ("-", "") else f", coded with {self.about['codec']}"
        group = f", {self.about['group']}" if self.about.get("group") else ""
        return f"{self.name}: {label}{codec}, speaker {self.about['speaker']}{group}"

    def scores(self) -> pd.DataFrame:
        """Score, threshold, calibrated LLR and completeness of the explanation: one row a detector."""
        columns = ("spoof_score", "baseline_score", "residual", "relative_residual", "status", "steps", "selection")
        return pd.DataFrame(
            {"detector": name, "spoof_llr": self.llrs[name], "threshold": self.thresholds.get(name, np.nan)}
            | {column: getattr(explanation, column) for column in columns}
            for name, explanation in self.explanations.items()
        )

    def top_segments(self) -> pd.DataFrame:
        """The strongest regions of each detector (`top_regions`): ``detector`` and the columns of `described`."""
        parts = [
            described(top_regions(explanation.by_frame), self.clock, self.tiers).assign(detector=name)
            for name, explanation in self.explanations.items()
        ]
        table = pd.concat(parts, ignore_index=True)
        return table[["detector", *table.columns.drop("detector")]]

    def numbers(self) -> dict[str, Any]:
        """The tables beside the view as plain values; None replaces what is not a finite number."""
        tables = {"scores": self.scores(), "segments": self.top_segments()}
        records = {key: table.to_json(orient="records", double_precision=15) for key, table in tables.items()}
        about = {"title": self.title(), "duration_s": self.duration_s, "decoded": bool(self.tiers)}
        about |= {"notices": list(self.notices), "verdicts": list(self.verdicts.values()), "source": dict(self.source)}
        return {key: json.loads(text) for key, text in records.items()} | about


def evidence(grid: Mapping[str, Any], clock: FrameClock) -> dict[str, Any]:
    """A map in time and frequency (`sslig.widgets.bench.Bench.grid`) as the browser draws and plays it."""
    heard = {part: audio.flac_bytes(grid[part], part) for part in ("only", "without")}
    numbers = {name: value for name, value in grid.items() if name not in (*heard, "density")}
    numbers["convergence"] = numbers["convergence"] if np.isfinite(numbers["convergence"]) else None
    return numbers | heard | view.matrix(grid["density"], clock)


# ---------------------------------------------------------------- exports


class Exported(NamedTuple):
    """A file: its name, its type and its content."""

    name: str
    mime: str
    content: bytes


def exported(
    recording: ExplainedRecording,
    kind: str,
    options: Mapping[str, Any],
    region: Region | None = None,
    session: Mapping[str, Any] = MappingProxyType({}),
) -> Exported:
    """An open recording as a file of one of `KINDS`, drawn with the `options` of the view and the selected `region`.

    A report and JSON hold the `session` too: study, detectors with their hashes, and the questions that were asked.
    """
    writers = {
        "png": lambda: _picture(recording, kind, options, region),
        "svg": lambda: _picture(recording, kind, options, region),
        "csv": lambda: frames_table(recording).to_csv(index=False, lineterminator="\n").encode(),
        "textgrid": lambda: _textgrid(region_tiers(recording, region)),
        "audacity": lambda: _audacity(recording, region).encode(),
        "html": lambda: html_page(recording, options).encode(),
        "report": lambda: _report(recording, options, region, session).encode(),
        "json": lambda: json.dumps(everything(recording, session), allow_nan=False, indent=1).encode(),
    }
    if kind not in KINDS:
        raise InputError(f"export as {kind!r}; accepted: {', '.join(KINDS)}")
    _, ending, mime = KINDS[kind]
    stem = re.sub(r"[^\w.-]", "_", recording.name).strip(".") or "view"
    return Exported(f"{stem}{ending}", mime, writers[kind]())


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
        replace(tier, end_s=np.minimum(tier.end_s, duration_s), duration_s=duration_s)
        for tier in recording.tiers.values()
    ]
    regions = recording.top_segments().sort_values("start_s", kind="stable")
    for name in recording.explanations:
        part = regions[regions["detector"] == name]
        labels = [
            f"{row.rank} {'spoof' if row.sign > 0 else 'bona fide'} {100 * row.share:.0f} % {row.segment_class}"
            for row in part.itertuples()
        ]
        result.append(Tier(f"{name} top regions", part["start_s"], part["end_s"], tuple(labels), duration_s, {}))
    if region is not None:
        result.append(Tier("selection", [region[0]], [min(region[1], duration_s)], ("selection",), duration_s, {}))
    return result


def everything(recording: ExplainedRecording, session: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a session: scores, thresholds, verdicts, maps by frame, segments, and what was asked."""
    maps = {name: part.by_frame.tolist() for name, part in recording.explanations.items()}
    rows = {name: zip(tier.start_s, tier.end_s, tier.labels, strict=True) for name, tier in recording.tiers.items()}
    tiers = {name: [[float(start), float(end), label] for start, end, label in part] for name, part in rows.items()}
    clock = view.drawn(recording.clock)
    return {"name": recording.name, **recording.numbers(), "clock": clock, "maps": maps, "tiers": tiers, **session}


def _report(
    recording: ExplainedRecording, options: Mapping[str, Any], region: Region | None, session: Mapping[str, Any]
) -> str:
    picture = _coded(_picture(recording, "png", options, region))["base64"]
    content = {"numbers": recording.numbers(), "session": session, "picture": picture, "name": recording.name}
    return _filled_page("report", recording, content)


def html_page(recording: ExplainedRecording, options: Mapping[str, Any] | None = None) -> str:
    """A page that shows and plays one recording; it loads nothing and needs no kernel."""
    content = {"view": recording.view(), "numbers": recording.numbers(), "options": options or {}}
    return _filled_page("player", recording, content)


def _filled_page(entry: str, recording: ExplainedRecording, content: Mapping[str, Any]) -> str:
    """The page ``static/<entry>.html`` with its module and `content`, in which no text is markup."""
    data = json.dumps(content, default=_coded, allow_nan=False)
    for letter, replacement in UNSAFE.items():
        data = data.replace(letter, replacement)
    values = {"title": escape(recording.title()), "data": data, "module": view.module(entry)}
    return Template(view.static(f"{entry}.html")).substitute(values)


def player(recording: ExplainedRecording) -> Any:
    """The page of a recording in a frame, for a book; the frame takes the height of the page once that is loaded."""
    from IPython.display import HTML

    title, page = escape(recording.title()), escape(html_page(recording))
    look = 'loading="lazy" style="width: 100%; height: 640px; border: 0;"'
    return HTML(f'<div class="sslig-recording"><iframe title="{title}" srcdoc="{page}" {look}></iframe></div>')


def _coded(value: bytes) -> dict[str, str]:
    """Bytes in JSON, as ``static/signals.js`` reads them."""
    return {"base64": base64.b64encode(value).decode("ascii")}


def _picture(recording: ExplainedRecording, form: str, options: Mapping[str, Any], region: Region | None) -> bytes:
    from sslig.plots.evidence import lanes

    shown = {name: part for name, part in recording.explanations.items() if name not in options["hidden"]}
    figure = lanes(
        recording.waveform,
        {name: explanation.by_frame for name, explanation in shown.items()},
        recording.clock,
        tiers={name: tier for name, tier in recording.shown_tiers().items() if f"tier:{name}" not in options["hidden"]},
        layers={name: explanation.by_layer for name, explanation in shown.items()} if options["maps"] else {},
        common_scale=options["common"],
        smooth=options["smooth"],
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
        for tier in region_tiers(recording, region)[len(recording.tiers) :]
        for start_s, end_s, label in zip(tier.start_s, tier.end_s, tier.labels, strict=True)
    ]
    return "".join(f"{start_s:.6f}\t{end_s:.6f}\t{label}\n" for start_s, end_s, label in sorted(rows))


# ---------------------------------------------------------------- uploaded files


@dataclass
class Upload:
    """A file that a browser sends part by part: its name, its announced size in bytes, and what has come of it."""

    name: str
    size: int
    content: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        _check_file(self.name, self.size)

    def add(self, part: bytes) -> bool:
        """Append the next part and return whether the file is complete."""
        self.content += bytes(part)
        if len(self.content) > self.size:
            raise InputError(f"{self.name}: {len(self.content)} bytes received; {self.size} were announced")
        return len(self.content) == self.size


def source(name: str, content: bytes) -> dict[str, Any]:
    """What an uploaded sound file is: ``duration_s``, ``rate_hz``, ``channels``, ``codec`` and its ``sha256``.

    Raises
    ------
    AudioError
        It is no sound file.
    """
    import av

    try:
        with av.open(io.BytesIO(content)) as container:
            stream = container.streams.audio[0]
            length = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / av.time_base
            values = {"rate_hz": stream.rate, "channels": stream.channels, "codec": stream.codec_context.name}
    except (av.FFmpegError, IndexError) as error:
        raise audio.AudioError(f"{name!r}: not a sound file that FFmpeg reads ({error})") from error
    return {"duration_s": float(length), "sha256": hashlib.sha256(content).hexdigest(), **values}


def notices(waveform: np.ndarray, clock: FrameClock, of: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """What a reader must know of (samples,) at 16 kHz before its explanation.

    Kinds are ``converted`` (``rate_hz`` and ``channels`` of the `source`), ``silent`` (``level_dbfs``), ``zeros``
    (``share`` of the frames whose samples are all 0) and ``clipped`` (``share`` of samples at full scale).
    """
    listed = []
    if of and (of["rate_hz"], of["channels"]) != (SAMPLE_RATE_HZ, 1):
        listed.append({"kind": "converted", "rate_hz": of["rate_hz"], "channels": of["channels"]})
    level_dbfs = 20 * np.log10(max(audio.rms(waveform), 1e-6))
    if level_dbfs < SILENT_DBFS:
        return [*listed, {"kind": "silent", "level_dbfs": float(level_dbfs)}]
    zeros = float((energy(waveform, clock.hop_samples, clock.receptive_field_samples) == 0).mean())
    clipped = float((np.abs(waveform) >= FULL_SCALE).mean())
    shares = {"zeros": (zeros, MANY_ZEROS), "clipped": (clipped, MANY_CLIPPED)}
    return listed + [{"kind": kind, "share": share} for kind, (share, most) in shares.items() if share > most]


def read_file(
    name: str,
    content: bytes,
    clock: FrameClock,
    *,
    max_s: float,
    min_frames: int,
    clip_s: tuple[float, float] | None = None,
) -> np.ndarray:
    """(samples,) at 16 kHz of an uploaded sound file, or of its part `clip_s`, trimmed to whole frames.

    Raises
    ------
    InputError
        The size or the length of the recording is not accepted.
    AudioError
        It is no sound file.
    """
    _check_file(name, len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(content)
        try:
            start_s, end_s = clip_s or (0.0, audio.n_samples(path) / SAMPLE_RATE_HZ)
            if end_s - start_s > max_s:
                raise InputError(f"{name!r}: {end_s - start_s:.1f} s long; at most {max_s:g} s are accepted")
            samples = audio.read(path)[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
        except audio.AudioError as error:
            raise audio.AudioError(str(error).replace(str(path), repr(name))) from error
    n_frames = clock.n_frames(len(samples))
    if n_frames < min_frames:
        needed_s = clock.n_samples(min_frames) / SAMPLE_RATE_HZ
        raise InputError(f"{name!r}: {len(samples) / SAMPLE_RATE_HZ:.2f} s long; at least {needed_s:.2f} s are needed")
    return samples[: clock.n_samples(n_frames)]


def shown_name(name: str) -> str:
    """The last part of a path of any system, without characters that a screen does not show."""
    last = PurePosixPath(PureWindowsPath(name).as_posix()).name
    return "".join(letter for letter in last if letter.isprintable()) or "recording"


def _check_file(name: str, n_bytes: int) -> None:
    if not 0 < n_bytes <= LARGEST_BYTES:
        largest = f"of at most {LARGEST_BYTES / 2**20:.0f} MiB"
        raise InputError(f"{name!r}: {n_bytes / 2**20:.1f} MiB; accepted are files that are not empty, {largest}")
