"""Open the explorer of a study in the browser, with a sound file or an utterance of the study."""

import argparse

from sslig.cli import pages


def run(options: argparse.Namespace) -> int:
    """Serve the explorer until it is stopped."""
    return pages.serve("explore", options.study, options, ["--utterance", options.file] if options.file else [])
