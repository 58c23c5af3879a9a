import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sslig.pipeline import book
from sslig.pipeline.book import BookError, build, findings

BOOK = Path(__file__).resolve().parents[1] / "book"


@pytest.fixture
def pages(tmp_path):
    """Writes executed pages, each with a title and the answer it shows."""

    def write(**answers):
        (tmp_path / "pages").mkdir(exist_ok=True)
        for name, answer in answers.items():
            shown = [new_output("display_data", data={"text/markdown": answer})]
            cells = [new_markdown_cell(f"# Page {name}\n\nMore."), new_code_cell("1", outputs=shown)]
            nbformat.write(new_notebook(cells=cells), tmp_path / "pages" / f"{name}.ipynb")
        return tmp_path / "pages"

    return write


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "book").mkdir()
    return tmp_path / "book"


@pytest.fixture
def jupyter_book(monkeypatch):
    """Stands in for Jupyter Book: keeps the command, writes the first page, and ends as told."""
    commands, ends = [], {"returncode": 0, "stdout": "", "stderr": ""}

    def run(command, **_):
        commands.append(command)
        index = Path(command[command.index("--path-output") + 1]) / book.INDEX
        index.parent.mkdir(parents=True)
        index.touch()
        return subprocess.CompletedProcess(command, **ends)

    monkeypatch.setattr(book.subprocess, "run", run)
    return commands, ends


def test_without_pages_there_is_no_book(tmp_path, sources, jupyter_book):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "01_corpus.failed.ipynb").touch()
    for folder in (tmp_path / "pages", tmp_path / "nowhere"):
        with pytest.raises(BookError, match=f"{folder}: no executed pages"):
            build(sources, folder, tmp_path / "output")
    assert jupyter_book[0] == []


def test_pages_are_copied_beside_the_sources(tmp_path, sources, pages, jupyter_book):
    (sources / "pages").mkdir()
    (sources / "pages" / "left_over.ipynb").touch()
    made = pages(one="**Answer.** Yes.", two="**Answer.** No.")
    (made / "three.failed.ipynb").touch()
    assert build(sources, made, tmp_path / "output") == tmp_path / "output" / "_build" / "html" / "index.html"
    assert sorted(path.name for path in (sources / "pages").iterdir()) == ["findings.md", "one.ipynb", "two.ipynb"]
    assert (sources / "pages" / "one.ipynb").read_bytes() == (made / "one.ipynb").read_bytes()
    (command,) = jupyter_book[0]
    assert {"build", str(sources), "--warningiserror", str(tmp_path / "output")} <= set(command)


def test_findings_are_the_answers_of_the_pages(pages):
    made = pages(one="**Answer.** 3 % of them.", two="**Answer.** No.")
    assert findings(sorted(made.glob("*.ipynb"))) == (
        "- [Page one](pages/one.ipynb): 3 % of them.\n- [Page two](pages/two.ipynb): No.\n"
    )


def test_a_page_without_an_answer_is_refused(pages):
    made = pages(one="Perhaps.")
    with pytest.raises(BookError, match=r"one\.ipynb: no answer"):
        findings([made / "one.ipynb"])


def test_what_jupyter_book_says_is_passed_on(tmp_path, sources, pages, jupyter_book):
    jupyter_book[1].update(returncode=2, stdout="reading sources", stderr="WARNING: a link leads nowhere")
    with pytest.raises(BookError, match=r"(?s)Jupyter Book failed on .*reading sources.*a link leads nowhere"):
        build(sources, pages(one="**Answer.** Yes."), tmp_path / "output")


def test_every_hand_written_page_of_the_contents_is_there():
    if not (BOOK / "_toc.yml").is_file():
        pytest.skip("no book/_toc.yml yet")
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [*contents.get("chapters", []), *(chapter for part in contents["parts"] for chapter in part["chapters"])]
    names = [contents["root"], *(chapter["file"] for chapter in chapters)]
    written = [name for name in names if not name.startswith("pages/")]
    executed = [name.removeprefix("pages/") for name in names if name.startswith("pages/")]
    assert [name for name in written if not list(BOOK.glob(f"{name}.*"))] == []
    assert [name for name in executed if not (BOOK.parent / "notebooks" / f"{name}.ipynb").is_file()] == []
    assert len(written) >= 2
