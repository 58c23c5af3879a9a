"""Adopt: a detector that exists already takes the place of a trained one."""

from pathlib import Path

from sslig.models import named
from sslig.study import Study


def adopt(study: Study, *, name: str, output: Path) -> None:
    """Write the detector `name` of the study, which names a checkpoint or a module, to the folder ``output/detector``.

    Raises
    ------
    DetectorError
        It cannot be loaded; the message says what to give.
    """
    named.adopt(study.checkpoint(name), output / "detector")
