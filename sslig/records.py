"""What a result was made with, as a hash beside it: while the hash holds, the result is read and not made again."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from sslig import protocol
from sslig.experiment import Experiment

SPEED = ("workers", "batch_size")
"""Options of scoring that change how fast a result comes, and not the result."""


def contents(experiment: Experiment, set_name: str) -> list[str]:
    """Hashes of what a set consists of: its protocol, and what a corpus built here was made from and how."""
    from sslig.data import corpora  # brings all that makes corpora; whoever only reads keys does without

    root = experiment.corpus_root
    made = json.loads(path.read_text(encoding="utf-8")) if (path := root / corpora.SUMMARY).is_file() else {}
    return [hash_of_file(root / protocol.SETS[set_name][0]), hash_of(made.get("fingerprint"), made.get("asked_for"))]


def how(experiment: Experiment) -> dict[str, Any]:
    """The options of scoring that decide scores."""
    return {name: value for name, value in dataclasses.asdict(experiment.scoring).items() if name not in SPEED}


def hash_of(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored_key(record: Path) -> str | None:
    return json.loads(record.read_text(encoding="utf-8"))["key"] if record.is_file() else None
