"""Export the scores of a run as the text file that the official evaluation of ASVspoof 5 reads."""

from pathlib import Path

from sslig import scores as tables
from sslig.study import Study


def official(study: Study, *, scores: Path, official: Path) -> None:
    """Write the table `scores` to `official`: ``filename`` and ``cm-score`` (higher = bona fide), tab-separated."""
    tables.write_official(official, tables.read(scores))
