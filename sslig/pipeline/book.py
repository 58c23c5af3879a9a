"""Book: executed pages beside the hand-written ones, through Jupyter Book, with warnings as errors."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from sslig.errors import PipelineError
from sslig.study import Study

PAGES, FINDINGS, ANSWER = "pages", "findings.md", "answer"
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # of this interpreter, wherever PATH points
INDEX = Path("_build/html/index.html")
GLUED = re.compile(r"\{glue(?::text)?\}`([^`:]+)(?::([^`]*))?`")


def book(study: Study, *, sources: Path, pages: list[Path], output: Path) -> None:
    """Build the book of a study in the folder `output`, below ``source/`` and ``_build/html/``.

    The hand-written `sources` are copied, so that the books of two studies can be built at once; the executed notebooks
    `pages` go to ``pages/`` below them, where Jupyter Book 1 finds them.

    Raises
    ------
    PipelineError
        A page has no answer, or Jupyter Book gave an error or a warning.
    """
    copied = output / "source"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(sources, copied, ignore=shutil.ignore_patterns(PAGES, "_build"))
    contents = copied / "_toc.yml"
    if contents.is_file():
        contents.write_text(_contents(contents.read_text(encoding="utf-8"), pages), encoding="utf-8")
    (copied / PAGES).mkdir()
    for page in pages:
        shutil.copy(page, copied / PAGES)
    (copied / PAGES / FINDINGS).write_text(findings(pages), encoding="utf-8")
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(copied), "--path-output", str(output)]
    command += ["--all", "--warningiserror", "--keep-going", "--quiet"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode or not (output / INDEX).is_file():
        raise PipelineError(f"Jupyter Book failed on {copied}:\n{process.stdout[-2000:]}\n{process.stderr[-4000:]}")


def _contents(text: str, pages: list[Path]) -> str:
    """A table of contents without the pages that a study does not have."""
    there = {f"{PAGES}/{page.stem}" for page in pages}
    named = {line: line.partition(f"file: {PAGES}/")[2] for line in text.splitlines()}
    return "\n".join(line for line, page in named.items() if not page or f"{PAGES}/{page}" in there) + "\n"


def findings(pages: list[Path]) -> str:
    """The answer of each executed page as a list with links, for the first page of the book.

    An answer is the Markdown cell tagged ``answer``, with the values that the page has glued.

    Raises
    ------
    PipelineError
        A page has no answer, or its answer names a value that the page has not glued.
    """
    lines = []
    for path in pages:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title = "".join(cells[0]["source"]).splitlines()[0].removeprefix("# ")
        answers = ["".join(cell["source"]) for cell in cells if ANSWER in cell["metadata"].get("tags", [])]
        if not answers:
            raise PipelineError(f"{path}: no answer; a page has one Markdown cell tagged {ANSWER!r}")
        text = " ".join(answers[0].removeprefix("**Answer.**").split())
        lines.append(f"- [{title}]({PAGES}/{path.name}): {_filled(path, text, glued(cells))}")
    return "\n".join(lines) + "\n"


def glued(cells: list[dict]) -> dict[str, str]:
    """Name -> text of the values that the cells of an executed notebook have glued."""
    values = {}
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        text = next((text for kind, text in output.get("data", {}).items() if kind.endswith("text/plain")), None)
        if name is not None and text is not None:
            values[name] = "".join(text)
    return values


def _filled(path: Path, answer: str, values: dict[str, str]) -> str:
    def text_of(match: re.Match) -> str:
        name, form = match.groups()
        if name not in values:
            raise PipelineError(
                f"{path}: the answer names {name!r}; glued on the page: {', '.join(values) or 'nothing'}"
            )
        text = values[name].strip("'\"")
        try:
            return format(float(text), form) if form else text
        except ValueError as error:
            raise PipelineError(f"{path}: {name} is glued as {text}; a plain number is needed for {form}") from error

    return GLUED.sub(text_of, answer)
