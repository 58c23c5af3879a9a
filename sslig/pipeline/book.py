"""Builds the book: executed pages beside the hand-written ones, through Jupyter Book, with warnings as errors."""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

PAGES = "pages"
FINDINGS = "findings.md"
ANSWER = "**Answer.** "
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # this interpreter's, whatever PATH says
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
    (sources / PAGES / FINDINGS).write_text(findings(notebooks), encoding="utf-8")
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(sources), "--path-output", str(output),
               "--all", "--warningiserror", "--keep-going", "--quiet"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (output / INDEX).is_file():
        raise BookError(f"Jupyter Book failed on {sources}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return output / INDEX


def findings(notebooks: list[Path]) -> str:
    """The computed answer of each executed page, as a list with links: what the first page of the book includes."""
    lines = []
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title = "".join(cells[0]["source"]).splitlines()[0].removeprefix("# ")
        outputs = (output for cell in cells for output in cell.get("outputs", []))
        texts = ("".join(output.get("data", {}).get("text/markdown", "")) for output in outputs)
        answers = [text.removeprefix(ANSWER) for text in texts if text.startswith(ANSWER)]
        if not answers:
            raise BookError(f"{path}: no answer; a page shows one as Markdown that starts with {ANSWER!r}")
        lines.append(f"- [{title}]({PAGES}/{path.name}): {answers[0]}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Build the book from the command line."""
    parser = argparse.ArgumentParser(description="Build the book from its sources and executed pages.")
    for name in ("sources", "pages", "output"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    try:
        build(arguments.sources, arguments.pages, arguments.output)
    except BookError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
