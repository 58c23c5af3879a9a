"""Builds the book: executed pages beside the hand-written ones, through Jupyter Book, with warnings as errors."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

PAGES = "pages"
INDEX = Path("_build/html/index.html")


class BookError(RuntimeError):
    """A book that cannot be built; the message holds what Jupyter Book said."""


def build(sources: Path, pages: Path, output: Path) -> Path:
    """Build the book and return its index.

    Parameters
    ----------
    sources
        The hand-written pages with ``_config.yml`` and ``_toc.yml``.
    pages
        Executed notebooks; they are copied to ``pages/`` below `sources`, because Jupyter Book 1 finds pages there
        only.
    output
        Where ``_build/html`` is made.

    Raises
    ------
    BookError
        There is no page, or Jupyter Book gave an error or a warning.
    """
    notebooks = sorted(pages.glob("*.ipynb"))
    notebooks = [page for page in notebooks if not page.name.endswith(".failed.ipynb")]
    if not notebooks:
        raise BookError(f"{pages}: no executed pages")
    shutil.rmtree(sources / PAGES, ignore_errors=True)
    (sources / PAGES).mkdir()
    for notebook in notebooks:
        shutil.copy(notebook, sources / PAGES)
    command = [sys.executable, "-m", "jupyter_book.cli.main", "build", str(sources), "--path-output", str(output),
               "--all", "--warningiserror", "--keep-going", "--quiet"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BookError(f"Jupyter Book failed on {sources}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return output / INDEX


def main() -> None:
    """Build the book from the command line."""
    parser = argparse.ArgumentParser(description="Build the book from its sources and executed pages.")
    for name in ("sources", "pages", "output"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    try:
        print(f"book: {build(arguments.sources, arguments.pages, arguments.output)}", file=sys.stderr)
    except BookError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
