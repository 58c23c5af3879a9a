"""Audio players for pages: sound embedded in the page, so that it plays without a server or a kernel."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from IPython.display import HTML

from sslig.errors import InputError

FLAC = "audio/flac"


def players(recordings: Mapping[str, Sequence[str | Path | bytes]], columns: Sequence[str]) -> HTML:
    """A table with a row of players for each label.

    Parameters
    ----------
    recordings
        Label -> FLAC files, or their contents, embedded unchanged.
    columns
        Headings: of the labels, then of each file of a row.

    Raises
    ------
    InputError
        A row and the headings differ in number.
    """
    wrong = [label for label, files in recordings.items() if len(files) != len(columns) - 1]
    if wrong:
        raise InputError(f"{wrong[0]!r} has {len(recordings[wrong[0]])} files; the headings are {list(columns)}")
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = "".join(
        f"<tr><td>{escape(label)}</td>{''.join(f'<td>{_player(path)}</td>' for path in files)}</tr>"
        for label, files in recordings.items()
    )
    return HTML(f'<table class="sslig-players"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>')


def _player(recording: str | Path | bytes) -> str:
    flac = recording if isinstance(recording, bytes) else Path(recording).read_bytes()
    sound = base64.b64encode(flac).decode("ascii")
    return f'<audio controls preload="none" src="data:{FLAC};base64,{sound}"></audio>'
