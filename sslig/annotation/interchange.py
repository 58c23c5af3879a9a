"""Annotations to and from other programs: which form a file has, and how it is read and written."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sslig.annotation import csv_forms, label_studio, tier_forms
from sslig.annotation.imported import Imported, InterchangeError

__all__ = ["FORMS", "Imported", "InterchangeError", "form_of", "read", "write"]

FORMS: Mapping[str, str] = {
    "release": "the |-separated CSV of the published release, one annotator",
    "tidy": "a CSV with a row a region, everything in it",
    "textgrid": "a folder of Praat TextGrids, one annotator",
    "audacity": "a folder of Audacity label tracks <utterance>.<detector>.txt, one annotator",
    "label_studio": "a JSON export of Label Studio",
}

ANNOTATOR = "annotator"
"""Who annotated a file that does not say it."""


def form_of(path: str | Path) -> str:
    """The form of a file or folder by its name and first line.

    Raises
    ------
    InterchangeError
        It shows none of `FORMS`.
    """
    path = Path(path)
    if path.is_dir():
        for form, ending in (("textgrid", "TextGrid"), ("audacity", "txt")):
            if next(path.glob(f"*.{ending}"), None) is not None:
                return form
    elif path.is_file():
        by_ending = {".json": "label_studio", ".textgrid": "textgrid", ".txt": "audacity"}
        if path.suffix.lower() in by_ending:
            return by_ending[path.suffix.lower()]
        with path.open("rb") as file:
            first = file.readline()
        if b"|" in first or b"," in first:
            return "release" if b"|" in first else "tidy"
    raise InterchangeError(f"{path}: no known form; accepted: {'; '.join(FORMS.values())}")


def read(path: str | Path, form: str | None = None, annotator: str = ANNOTATOR) -> Imported:
    """The annotations at `path`: good rows as a table, bad ones with what is wrong.

    Parameters
    ----------
    path
        A file, or the folder of a form that has many.
    form
        One of `FORMS`; none: `form_of`.
    annotator
        Who annotated, where the form does not say it.

    Raises
    ------
    InterchangeError
        The form is unknown, or the file as a whole cannot be read.
    """
    path, form = Path(path), form or form_of(path)
    if form in ("textgrid", "audacity"):
        reader, ending = ((tier_forms.read_textgrids, "TextGrid") if form == "textgrid"
                          else (tier_forms.read_audacities, "txt"))  # fmt: skip
        return reader(sorted(path.glob(f"*.{ending}")) if path.is_dir() else [path], annotator)
    if form == "tidy":
        return csv_forms.read_tidy(path)
    readers = {"release": csv_forms.read_release, "label_studio": label_studio.read}
    return readers[_known(form)](path, annotator)


def write(
    path: str | Path, table: pd.DataFrame, form: str, duration_s: Mapping[str, float] | None = None
) -> None:  # fmt: skip
    """Write annotations to `path`, a file or a folder, in one of `FORMS`.

    Parameters
    ----------
    duration_s
        Length of each recording in seconds by utterance, for TextGrids.

    Raises
    ------
    InterchangeError
        The form is unknown, or cannot hold the table.
    """
    path = Path(path)
    if _known(form) in ("textgrid", "audacity"):
        writer = tier_forms.write_textgrids if form == "textgrid" else tier_forms.write_audacities
        writer(path, table, duration_s)
    else:
        writers = {"release": csv_forms.write_release, "tidy": csv_forms.write_tidy, "label_studio": label_studio.write}
        writers[form](path, table)


def _known(form: str) -> str:
    if form not in FORMS:
        raise InterchangeError(f"unknown form {form!r}; accepted: {', '.join(FORMS)}")
    return form
