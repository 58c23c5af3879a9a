"""Book: executed pages, laid out, beside the hand-written ones, through Jupyter Book, with warnings as errors."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from sslig.errors import PipelineError
from sslig.pipeline import layout
from sslig.study import Study

PAGES, FINDINGS, HERO, SHORT = "pages", "findings.md", "hero.html", "in_short_{}.md"
FRAMES, CONFIG, BANNER, MARK = "_pages.yml", "_config.yml", "_banner.html", "_mark.md"
"""What is said of each page (`sslig.pipeline.layout`), settings, and what a study of encoders with random weights shows
on each page and after each answer."""
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # of this interpreter, wherever PATH points
LINK = re.compile(r"\[([^\[\]]+)\]\((?:pages/)?(?:(\w+)\.ipynb|(\d\w+))\)")
INCLUDED = re.compile(r"pages/in_short_(\w+)\.md")
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
    for file in copied.glob("*.md"):
        _without_absent(file, copied / PAGES, {page.stem for page in pages})
    mark = _marked(study, copied)
    frames = copied / FRAMES
    about = yaml.safe_load(frames.read_text(encoding="utf-8")) if frames.is_file() else {}
    executed = {page: json.loads(page.read_text(encoding="utf-8")) for page in pages}
    for page, notebook in executed.items():
        shown = layout.laid_out(notebook, about.get(page.stem, {}))
        _mark_answer(shown["cells"], mark)
        for cell in (cell for cell in shown["cells"] if cell["cell_type"] == "markdown"):
            cell["source"] = _linked("".join(cell["source"]), {page.stem for page in pages})
        (copied / PAGES / page.name).write_text(json.dumps(shown), encoding="utf-8")
    answers = findings(executed)
    (copied / PAGES / FINDINGS).write_text(
        "".join(f"- {answer}{mark}\n" for answer in answers.values()), encoding="utf-8"
    )
    for page, answer in answers.items():
        (copied / PAGES / SHORT.format(page.stem)).write_text(f"{_first_sentence(answer)}{mark}\n", encoding="utf-8")
    (copied / PAGES / HERO).write_text(hero(executed), encoding="utf-8")
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(copied), "--path-output", str(output)]
    command += ["--all", "--warningiserror", "--keep-going", "--quiet"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode or not (output / INDEX).is_file():
        raise PipelineError(f"Jupyter Book failed on {copied}:\n{process.stdout[-2000:]}\n{process.stderr[-4000:]}")


def _without_absent(file: Path, folder: Path, there: set[str]) -> None:
    """Turn links of a hand-written page to pages that a study does not have into text, and fill what it includes."""
    text = file.read_text(encoding="utf-8")
    file.write_text(_linked(text, there), encoding="utf-8")
    for name in set(INCLUDED.findall(text)) - there:
        (folder / SHORT.format(name)).write_text("This study has no such page.\n", encoding="utf-8")


def _linked(text: str, there: set[str]) -> str:
    return LINK.sub(lambda link: link[0] if (link[2] or link[3]) in there else link[1], text)


def _contents(text: str, pages: list[Path]) -> str:
    """A table of contents without the pages that a study does not have, and without parts that this leaves empty."""
    there, contents = {f"{PAGES}/{page.stem}" for page in pages}, yaml.safe_load(text)
    for part in contents.get("parts", []):
        files = [chapter["file"] for chapter in part["chapters"]]
        part["chapters"] = [{"file": file} for file in files if not file.startswith(f"{PAGES}/") or file in there]
    contents["parts"] = [part for part in contents.get("parts", []) if part["chapters"]]
    return yaml.safe_dump(contents, sort_keys=False, allow_unicode=True)


def _marked(study: Study, folder: Path) -> str:
    """What follows each answer, with leading space; where encoders have random weights, each page says so on top."""
    if not isinstance(study.backbone, dict):
        return ""
    path = folder / CONFIG
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    options = settings["sphinx"]["config"]["html_theme_options"]
    options["announcement"] = (folder / BANNER).read_text(encoding="utf-8").strip()
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return " " + (folder / MARK).read_text(encoding="utf-8").strip()


def _mark_answer(cells: list[dict], mark: str) -> None:
    for cell in cells:
        if layout.ANSWER in layout.tags(cell):
            cell["source"] = layout.text(cell).rstrip() + mark


def _first_sentence(answer: str) -> str:
    """An answer up to the first full stop that ends a sentence."""
    return re.split(r"(?<=[^\d\W]\.|[)%\d`]\.)\s+(?=[A-Z*`])", answer, maxsplit=1)[0]


def hero(executed: Mapping[Path, dict]) -> str:
    """The first recording that a page plays, for the first page of the book; empty where there is none."""
    outputs = (
        output for notebook in executed.values() for cell in notebook["cells"] for output in cell.get("outputs", [])
    )
    texts = ("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    return next((text for text in texts if "sslig-recording" in text), "")


def findings(executed: Mapping[Path, dict]) -> dict[Path, str]:
    """The answer of each executed page, with a link to it, for the first page of the book.

    An answer is the Markdown cell tagged ``answer``, with the values that the page has glued.

    Raises
    ------
    PipelineError
        A page has no answer, or its answer names a value that the page has not glued.
    """
    lines = {}
    for path, notebook in executed.items():
        cells = notebook["cells"]
        title = "".join(cells[0]["source"]).splitlines()[0].removeprefix("# ")
        answers = ["".join(cell["source"]) for cell in cells if layout.ANSWER in cell["metadata"].get("tags", [])]
        if not answers:
            raise PipelineError(f"{path}: no answer; a page has one Markdown cell tagged {layout.ANSWER!r}")
        text = " ".join(answers[0].removeprefix("**Answer.**").split())
        lines[path] = f"[{title}]({PAGES}/{path.name}): {_filled(path, text, glued(cells))}"
    return lines


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
