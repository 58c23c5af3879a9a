"""The pages of a study in the browser: what `sslig explore` and `sslig annotate` share."""

import argparse
from collections.abc import Sequence

from sslig.errors import PipelineError

VALUES = ("address", "port", "base_url", "origin", "kernels")
SWITCHES = ("token", "stripped", "trusted")
"""Options that are those of `sslig.widgets.serve`."""


def serve(page: str, experiment: str, options: argparse.Namespace, more: Sequence[str] = ()) -> int:
    """Serve a page until it is stopped."""
    from sslig.widgets import serve as server

    words = [experiment, "--page", page, *more]
    words += [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in VALUES]
    words += [f"--{name}" for name in SWITCHES if getattr(options, name)]
    try:
        server.main(words)
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            raise PipelineError(stopped.code.removeprefix("error: ")) from stopped
        raise
    return 0
