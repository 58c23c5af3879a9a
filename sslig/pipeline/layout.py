"""Layout of a page in the book: the answer and a figure first, captions, code that is hidden until it is asked for.

Cells with code keep their order, so a page that a reader downloads still runs from top to bottom.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

ANSWER, HERO, APPENDIX, HIDDEN = "answer", "hero", "appendix", "hide-input"
"""Tags of cells: the answer of a page, the figure beside it, a section that is folded, code behind a switch."""

HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
TABLE = re.compile(r"<table\b[^>]*>(?!\s*<caption)", re.IGNORECASE)
FIGURE, AUDIBLE = 2, {"sslig-recording": 3, "sslig-players": 1}
"""What a figure is worth beside the answer, and what outputs are that a reader can play, by their class."""

MARKUP = [
    (re.compile(r"\{cite[^}]*\}`[^`]*`"), ""),
    (re.compile(r"\{[\w:]+\}`([^`<]*?)(?:\s*<[^>]*>|:[^`]*)?`"), r"\1"),
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"[*`$]"), ""),
]
"""What Markdown adds to words: citations, roles, links, emphasis."""

LONGEST_ALT = 240

ELSEWHERE = "# an output of another cell of this page"
"""Source of cells that only show; MyST-NB leaves out cells without any."""

Cell = dict[str, Any]


def laid_out(notebook: dict[str, Any], about: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The notebook of an executed page as the book shows it.

    `about` may have ``before``, what to know before the page, and ``after``, what to take away, both in Markdown, and
    ``appendix``, headings of sections that are folded; those that the page does not have are passed over.
    """
    notebook = copy.deepcopy(notebook)
    cells = _answer_first([part for cell in notebook["cells"] for part in _single_figures(cell)], _frame(about))
    notebook["cells"] = _folded(_captioned(cells), about.get("appendix", ()))
    return notebook


def _frame(about: Mapping[str, Any]) -> list[Cell]:
    """A cell on what a reader needs and takes away; none where nothing is said of it."""
    words = {"before": "Before this page", "after": "After it"}
    lines = [f"*{title}:* {about[name]}" for name, title in words.items() if name in about]
    source = "::::{div} sslig-frame\n" + "\n\n".join(lines) + "\n::::"
    return [{"cell_type": "markdown", "id": "frame", "metadata": {}, "source": source}] if lines else []


def plain(markdown: str) -> str:
    """The words of a Markdown text in one line."""
    for pattern, words in MARKUP:
        markdown = pattern.sub(words, markdown)
    return " ".join(markdown.split())


def text(cell: Cell) -> str:
    """The source of a cell."""
    return "".join(cell["source"])


def tags(cell: Cell) -> list[str]:
    """The tags of a cell, to read and to change."""
    return cell["metadata"].setdefault("tags", [])


def _outputs(cell: Cell) -> list[dict[str, Any]]:
    return cell.get("outputs", [])


def _has_image(output: dict[str, Any]) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def _html(output: dict[str, Any]) -> str:
    return "".join(output.get("data", {}).get("text/html", ""))


def _worth(output: dict[str, Any]) -> int:
    """How well an output stands beside the answer: a recording to see and play, a figure, players; others not."""
    page = _html(output)
    return next((worth for name, worth in AUDIBLE.items() if name in page), FIGURE if _has_image(output) else 0)


def _single_figures(cell: Cell) -> list[Cell]:
    """A cell with several figures as several cells, each with one: captions belong to cells."""
    parts: list[list[dict[str, Any]]] = [[]]
    for output in _outputs(cell):
        if _has_image(output) and any(map(_has_image, parts[-1])):
            parts.append([])
        parts[-1].append(output)
    rest = [_shown(cell, outputs, number) for number, outputs in enumerate(parts[1:], start=1)]
    return [{**cell, "outputs": parts[0]} if rest else cell, *rest]


def _shown(cell: Cell, outputs: list[dict[str, Any]], number: int) -> Cell:
    """A cell without code that shows `outputs` of another."""
    metadata = {"tags": ["remove-input", *(tag for tag in tags(cell) if tag == "hide-output")]}
    return {**cell, "id": f"{cell['id']}-{number}", "source": ELSEWHERE, "outputs": outputs, "metadata": metadata}


def _answer_first(cells: list[Cell], frame: list[Cell]) -> list[Cell]:
    """Title, answer, one figure with what is said of it, the frame, then the other cells in their order."""
    answers = [cell for cell in cells if ANSWER in tags(cell)]
    rest = [cell for cell in cells if ANSWER not in tags(cell)]
    chosen = [cell for cell in rest if HERO in tags(cell)] or rest
    shown = [(_worth(output), cell, output) for cell in chosen for output in _outputs(cell) if _worth(output)]
    if not shown:
        return [*rest[:1], *answers, *frame, *rest[1:]]
    _, hero, first = max(shown, key=lambda part: part[0])  # the first of equals
    place = rest.index(hero)
    moved = [_shown(hero, [first], 0)]
    hero["outputs"] = [output for output in _outputs(hero) if output is not first]
    if not any(map(_worth, hero["outputs"])) and place + 1 < len(rest) and _is_prose(rest[place + 1]):
        moved.append(rest.pop(place + 1))
    return [*rest[:1], *answers, *moved, *frame, *rest[1:]]


def _is_prose(cell: Cell) -> bool:
    """Whether a cell may be a caption: Markdown without heading, list, block or label."""
    words = text(cell).strip()
    blocks = r"(?m)^(#|[-*+] |\d+\. |```|:::|\||\(\S+\)=|\$\$)"
    return cell["cell_type"] == "markdown" and bool(words) and ANSWER not in tags(cell) and not re.search(blocks, words)


def _captioned(cells: list[Cell]) -> list[Cell]:
    """Prose below a figure becomes its caption; figures get a text for readers who do not see them, tables a title."""
    result, heading, numbers, pending = [], "", {}, list(cells)
    while pending:
        cell = pending.pop(0)
        result.append(cell)
        if cell["cell_type"] == "markdown":
            headings = HEADING.findall(text(cell))
            heading = plain(headings[-1]) if headings else heading
            continue
        for output in _outputs(cell):
            shown = HEADING.findall("".join(output.get("data", {}).get("text/markdown", "")))
            heading = plain(shown[-1]) if shown else heading
            _title_tables(output, heading, numbers)
        if any(map(_has_image, _outputs(cell))):
            below = pending.pop(0) if pending and _is_prose(pending[0]) else None
            _caption(cell, heading, text(below).strip() if below else "")
    return result


def _caption(cell: Cell, heading: str, caption: str) -> None:
    options = cell["metadata"].setdefault("mystnb", {})
    words = f"{heading}. {plain(caption)}" if caption else heading
    alt = words if len(words) <= LONGEST_ALT else f"{words[:LONGEST_ALT].rsplit(' ', 1)[0]} …"
    options["image"] = {"alt": alt, **options.get("image", {})}
    if caption:
        options["figure"] = {"caption": caption, **options.get("figure", {})}


def _title_tables(output: dict[str, Any], heading: str, numbers: dict[str, int]) -> None:
    """Title each table of an output by the heading it stands under."""

    def titled(match: re.Match) -> str:
        numbers[heading] = numbers.get(heading, 0) + 1
        title = heading if numbers[heading] == 1 else f"{heading} ({numbers[heading]})"
        return f"{match[0]}<caption>{escape(title)}</caption>"

    page = _html(output)
    if "<table" in page and "<iframe" not in page:
        output["data"]["text/html"] = TABLE.sub(titled, page)


def _folded(cells: list[Cell], appendix: Sequence[str]) -> list[Cell]:
    """Code hides behind one switch of the page; sections of the appendix get a mark that the browser folds."""
    for cell in cells:
        cell["metadata"]["tags"] = [tag for tag in tags(cell) if tag != HIDDEN]
        headings = map(plain, HEADING.findall(text(cell))) if cell["cell_type"] == "markdown" else ()
        if APPENDIX in tags(cell) or any(heading in appendix for heading in headings):
            cell["source"] = HEADING.sub(r'\g<0>\n\n<div class="sslig-appendix"></div>', text(cell), count=1)
    return cells
