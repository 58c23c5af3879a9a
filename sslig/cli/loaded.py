"""A detector as a command uses it: by name, with its calibration, its threshold and what attributions start from."""

import argparse
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from sslig import files
from sslig.cli.arguments import POINTS
from sslig.errors import DetectorError, InputError
from sslig.labels import KEYS
from sslig.models import named
from sslig.stats import metrics
from sslig.stats.calibration import LogisticMap, calibrate

CALIBRATION, BASELINE = "calibration.json", "baseline.safetensors"
SCORES_DEV, DETECTOR = "scores_dev.parquet", "detector"
"""In the run of a study: scores that a calibration is fitted on, and the folder of the detector."""


@dataclass(frozen=True)
class Calibration:
    """LLR = weight * score + offset, fitted on dev, and the score at which the error rates of dev are equal."""

    weight: float
    offset: float
    eer_threshold: float
    n_bonafide: int
    n_spoof: int
    eer: float

    @classmethod
    def fitted(cls, scores: pd.DataFrame) -> "Calibration":
        """Fit on ``spoof_score`` and ``key`` of dev."""
        by_key = {key: scores.loc[scores["key"] == key, "spoof_score"] for key in KEYS}
        fitted: LogisticMap = calibrate(scores["spoof_score"], scores["key"].map(KEYS))
        threshold = metrics.eer_threshold(by_key["bonafide"], by_key["spoof"])
        sizes = [len(by_key["bonafide"]), len(by_key["spoof"])]
        eer = metrics.eer(by_key["bonafide"], by_key["spoof"])
        return cls(fitted.weights[0], fitted.offset, threshold, *sizes, eer)

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """The calibration at `path`."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: no calibration: {error}") from error

    def record(self) -> dict[str, Any]:
        """Its values by name."""
        return asdict(self)

    def llr(self, score: Any) -> Any:
        """log p(score | spoof) / p(score | bona fide)."""
        return self.weight * score + self.offset


@dataclass
class Loaded:
    """A detector with what lies beside it.

    Attributes
    ----------
    place
        Its folder, where it has one on this machine.
    draws
        Real recordings that attributions start from (`sslig.cli.starts`).
    """

    name: str
    model: nn.Module
    calibration: Calibration | None
    place: Path | None
    draws: tuple[Any, ...] = ()

    def threshold(self, point: str) -> float:
        """The score above which the decision at an operating point is spoof."""
        if point == "zero":
            return 0.0
        if self.calibration is None:
            raise InputError(f"{self.name}: has no calibration, so only --at zero is known ({POINTS['zero']})")
        if point == "eer":
            return self.calibration.eer_threshold
        llr = {"equal": 0.0, "asvspoof5": metrics.BAYES_SPOOF_SCORE}[point]
        return (llr - self.calibration.offset) / self.calibration.weight

    def point(self, asked: str | None) -> str:
        """The operating point that is asked for, or the default: equal priors and costs where LLRs are known."""
        return asked or ("zero" if self.calibration is None else "equal")

    @cached_property
    def baseline(self) -> Any:
        """The mean bona fide features that lie beside the detector, if any."""
        from sslig.attribution import baselines

        places = [] if self.place is None else [self.place / BASELINE, self.place.parent / BASELINE]
        path = next((path for path in places if path.is_file()), None)
        return None if path is None else baselines.load(path)


def load_all(options: argparse.Namespace) -> list[Loaded]:
    """The detectors that a command names, each with a name that no other has."""
    detectors = [load(*_split(text), options) for text in options.detector]
    names = [detector.name for detector in detectors]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise DetectorError(f"two detectors are called {repeated.pop()!r}; name them: --detector NAME=DETECTOR")
    return detectors


def load(name: str, target: str, options: argparse.Namespace | None = None) -> Loaded:
    """The detector `target`; the folder of a run of a study stands for the detector in it."""
    path = Path(target).expanduser()
    place = next((folder for folder in (path / DETECTOR, path) if folder.is_dir()), None)
    values: dict[str, Any] = {"module" if _is_module(target) else "checkpoint": str(place or target)}
    if path.suffix in (".yaml", ".yml") and path.is_file():
        values = files.read_yaml(path)
    kind, _ = named.identify(str(values.get("checkpoint") or values.get("module")))
    values |= {key: value for key, value in given_values(options).items() if key in named.TAKES[kind]}
    model = named.load(values, bool(options and options.trust_remote_code))
    if place is None and model.origin.folder is not None:
        place = Path(model.origin.folder)
    return Loaded(
        name or default_name(path if place is None else Path(target)), model, calibration_beside(place), place
    )


def given_values(options: argparse.Namespace | None) -> dict[str, Any]:
    """The values of a detector from elsewhere that are given; each detector takes those that its kind needs."""
    if options is None:
        return {}
    given = {key: getattr(options, key) for key in ("labels", "direction", "rate", "backbone")}
    if options.labels:
        pairs = [part.split("=", 1) for part in options.labels.split(",")]
        if any(len(pair) != 2 for pair in pairs):
            raise InputError(f"--labels {options.labels}; accepted: LABEL=KEY,LABEL=KEY with {' and '.join(KEYS)}")
        given["labels"] = dict(pairs)
    return {key: value for key, value in given.items() if value is not None}


def calibration_beside(place: Path | None) -> Calibration | None:
    """The calibration in the folder of a detector, or one fitted on the dev scores of its run; none without either."""
    if place is None:
        return None
    if (place / CALIBRATION).is_file():
        return Calibration.read(place / CALIBRATION)
    scores = place.parent / SCORES_DEV
    return Calibration.fitted(pd.read_parquet(scores)) if scores.is_file() else None


def default_name(path: Path) -> str:
    """The name of a detector: that of its folder or file; in a study, that of the folder of its seeds."""
    parts = [part for part in path.parts if part != DETECTOR and not part.startswith("seed")]
    return Path(parts[-1]).stem if parts else str(path)


def _split(text: str) -> tuple[str, str]:
    name, equals, target = text.partition("=")
    return (name, target) if equals and "/" not in name else ("", text)


def _is_module(target: str) -> bool:
    return ":" in target and not Path(target).exists()


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse to write over what is there, unless that is asked for."""
    if not overwrite and (path.is_file() or (path.is_dir() and any(path.iterdir()))):
        raise InputError(f"{path}: is there already; add --overwrite to write over it")
