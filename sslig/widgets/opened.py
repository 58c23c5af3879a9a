"""One recording with all that is said of it: evidence and score of each detector, segments, top regions."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sslig.attribution.explanation import Explanation
from sslig.cues.segments import source_of
from sslig.cues.tiers import Tier
from sslig.cues.top_regions import described, top_regions
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.report.display import listed
from sslig.widgets.bench import Bench
from sslig.widgets.view import Lane, Recording

SHOWN_TIERS = ("speech", "phones", "words")
"""Segments that are drawn, from top to bottom; voicing decides places of masks only."""

Progress = Callable[[str, float], None]
"""Told what is being done, and which share is done."""


def silent(what: str, share: float) -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True)
class Opened:
    """A recording and what the detectors say of it.

    Attributes
    ----------
    name
        Of the utterance or the file.
    about
        ``key``, ``attack``, ``codec``, ``speaker`` and ``group``; empty for a file of one's own.
    waveform
        (samples,) at 16 kHz as it was scored: whole frames.
    clock
        The frame grid.
    attributions
        Detector -> its attribution.
    llrs
        Detector -> its calibrated log-likelihood ratio.
    tiers
        Segments by name; empty until they are decoded.
    """

    name: str
    about: Mapping[str, str]
    waveform: np.ndarray
    clock: FrameClock
    attributions: Mapping[str, Explanation]
    llrs: Mapping[str, float]
    tiers: Mapping[str, Tier] = field(default_factory=dict)

    def recording(self) -> Recording:
        """What is drawn of it."""
        lanes = [Lane(name, one.by_frame, one.by_layer, f"score {one.spoof_score:+.2f}")
                 for name, one in self.attributions.items()]  # fmt: skip
        shown = {name: self.tiers[name] for name in SHOWN_TIERS if name in self.tiers}
        return Recording(self.name, self.waveform, self.clock, lanes, shown)

    def with_tiers(self, tiers: Mapping[str, Tier]) -> "Opened":
        """The same with its segments."""
        return dataclasses.replace(self, tiers=tiers)

    def title(self) -> str:
        """Name and label in one line."""
        if not self.about:
            return f"{self.name}: a file of your own"
        words = {"bonafide": "bona fide", "spoof": f"spoof by {self.about['attack']}"}
        coded = "" if self.about["codec"] in ("-", "") else f", coded with {self.about['codec']}"
        group = f", {self.about['group']}" if self.about.get("group") else ""
        return f"{self.name}: {words[self.about['key']]}{coded}, speaker {self.about['speaker']}{group}"

    def scores(self) -> pd.DataFrame:
        """A row a detector: its score, its calibrated LLR, and how far its attribution adds up."""
        return pd.DataFrame([
            {"detector": name, "spoof_score": one.spoof_score, "spoof_llr": self.llrs[name],
             "baseline_score": one.baseline_score, "residual": one.residual,
             "relative_residual": one.relative_residual, "status": one.status, "steps": one.steps,
             "selection": one.selection}
            for name, one in self.attributions.items()
        ])  # fmt: skip

    def numbers(self) -> dict[str, Any]:
        """The tables beside the view as plain values, None in place of what is no finite number."""
        tables = {"scores": self.scores(), "segments": self.top_segments()}
        told = {name: [_plain(row) for row in table.to_dict("records")] for name, table in tables.items()}
        length_s = len(self.waveform) / SAMPLE_RATE_HZ
        return told | {"title": self.title(), "duration_s": length_s, "decoded": bool(self.tiers)}

    def answer(self) -> str:
        """Where each detector finds most of its evidence, in one sentence."""
        first = self.top_segments(1)
        parts = [
            f"{row.detector} finds {100 * row.share:.0f} % of its evidence from {row.start_s:.2f} to {row.end_s:.2f} "
            f"s, for {'spoof' if row.sign > 0 else 'bona fide'} ({row.segment_class})"
            for row in first.itertuples()
        ]
        return f"In {self.name}, {listed(parts)}." if parts else f"In {self.name}, no detector finds evidence."

    def top_segments(self, n: int = 5) -> pd.DataFrame:
        """The `n` strongest regions of each detector: ``detector`` and the columns of `top_regions.described`."""
        parts = [
            described(top_regions(one.by_frame, n=n), self.clock, self.tiers or None).assign(detector=name)
            for name, one in self.attributions.items()
        ]
        table = pd.concat(parts, ignore_index=True)
        return table[["detector", *(column for column in table if column != "detector")]]


def recording(
    bench: Bench,
    name: str,
    waveform: np.ndarray,
    *,
    about: Mapping[str, Any] | None = None,
    tiers: Mapping[str, Tier] | None = None,
    made: Mapping[str, Explanation] | None = None,
    progress: Progress = silent,
) -> Opened:
    """(samples,) at 16 kHz with the attribution of every detector, computed where it is not `made` already."""
    made = dict(made or {})
    for number, one in enumerate(bench.names):
        if one not in made:
            progress(f"explaining with {one}", number / len(bench.names))
            made[one] = bench.explain(one, waveform)
    llrs = {one: bench.llr(one, made[one].spoof_score) for one in bench.names}
    return Opened(name, about or {}, waveform, bench.clock, {one: made[one] for one in bench.names}, llrs, tiers or {})


def decoded(waveform: np.ndarray, sources: Sequence[str], progress: Progress = silent) -> dict[str, Tier]:
    """The tiers of (samples,) by the named sources (`sslig.cues.segments`)."""
    found = {}
    for number, source in enumerate(sources):
        progress(f"segments by {source}", number / len(sources))
        tier = source_of(source)(waveform)
        found[tier.name] = tier
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of Python for those of numpy, and None for what JSON has no word for."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in plain.items()}  # fmt: skip
