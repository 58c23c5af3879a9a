"""The pages of a study in the browser: what `sslig explore` and `sslig annotate` share."""

import argparse
from collections.abc import Sequence


def serve(page: str, experiment: str, options: argparse.Namespace, more: Sequence[str] = ()) -> int:
    """Serve a page until it is stopped."""
    from sslig.widgets import serve as server

    words = [experiment, "--page", page, "--address", options.address, "--port", str(options.port)]
    server.main([*words, *(["--token"] if options.token else []), *more])
    return 0
