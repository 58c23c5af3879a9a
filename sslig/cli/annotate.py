"""Open the annotator of a study in the browser."""

import argparse

from sslig.cli import pages


def run(options: argparse.Namespace) -> int:
    """Serve the annotator until it is stopped."""
    return pages.serve("annotate", options.study, options)
