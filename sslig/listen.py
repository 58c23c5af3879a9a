"""Audio players for pages: sound embedded in the page, so that it plays without a server or a kernel."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path

from IPython.display import HTML

FLAC = "audio/flac"


def players(recordings: Mapping[str, str | Path], heading: str = "") -> HTML:
    """A table with one labelled player a recording.

    Parameters
    ----------
    recordings
        Label -> FLAC file, embedded as it is.
    heading
        Heading of the column of labels.
    """
    head = f"<thead><tr><th>{escape(heading)}</th><th>listen</th></tr></thead>" if heading else ""
    rows = "".join(f"<tr><td>{escape(label)}</td><td>{_player(path)}</td></tr>" for label, path in recordings.items())
    return HTML(f'<table class="sslig-players">{head}<tbody>{rows}</tbody></table>')


def _player(path: str | Path) -> str:
    sound = base64.b64encode(Path(path).read_bytes()).decode("ascii")
    return f'<audio controls preload="none" src="data:{FLAC};base64,{sound}"></audio>'
