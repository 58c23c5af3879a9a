import json
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sslig.errors import PipelineError
from sslig.pipeline import book as module
from sslig.pipeline.book import book, findings, hero


def read(pages):
    """Executed pages by their files."""
    return {page: json.loads(page.read_text()) for page in pages}


BOOK = Path(__file__).resolve().parents[1] / "book"


@pytest.fixture
def write(tmp_path):
    """Writes an executed page with an answer and glued values; no answer where it is none."""

    def to_file(name, answer, **values):
        outputs = [
            new_output(
                "display_data",
                data={"application/papermill.record/text/plain": repr(value)},
                metadata={"scrapbook": {"name": key, "mime_prefix": "application/papermill.record/"}},
            )
            for key, value in values.items()
        ]
        cells = [new_markdown_cell(f"# Page {name}\n\nMore."), new_code_cell("1", outputs=outputs)]
        cells += [new_markdown_cell(answer, metadata={"tags": ["answer"]})] if answer else []
        path = tmp_path / "pages" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return to_file


@pytest.fixture
def jupyter_book(monkeypatch):
    """Stands in for Jupyter Book: keeps the command, writes the first page, and ends as it is set to."""
    commands, ends = [], {"returncode": 0, "stdout": "", "stderr": ""}

    def run(command, **_):
        commands.append(command)
        index = Path(command[command.index("--path-output") + 1]) / module.INDEX
        index.parent.mkdir(parents=True)
        index.touch()
        return subprocess.CompletedProcess(command, **ends)

    monkeypatch.setattr(module.subprocess, "run", run)
    return commands, ends


def test_each_study_has_a_copy_of_the_sources_with_its_pages(tmp_path, write, jupyter_book, experiment):
    sources = tmp_path / "book"
    sources.mkdir()
    (sources / "intro.md").write_text("# Title")
    page = write("first", "**Answer.** Yes.")
    pretrained = experiment.model_copy(update={"backbone": "microsoft/wavlm-base-plus"})
    for output in (tmp_path / "a", tmp_path / "b"):
        book(pretrained, sources=sources, pages=[page], output=output)
        assert (output / "source" / "intro.md").is_file()
        cells = nbformat.read(output / "source" / "pages" / "first.ipynb", as_version=4).cells
        assert [cell.source for cell in cells] == ["# Page first\n\nMore.", "**Answer.** Yes.", "1"]
        assert (output / "source" / "pages" / "findings.md").read_text() == "- [Page first](pages/first.ipynb): Yes.\n"
    assert [path.name for path in sources.iterdir()] == ["intro.md"]
    assert {"build", "--warningiserror", str(tmp_path / "a" / "source")} <= set(jupyter_book[0][0])


def test_pages_that_a_study_lacks_are_not_in_the_book(tmp_path, write, jupyter_book, experiment):
    sources = tmp_path / "book"
    sources.mkdir()
    parts = [["pages/first", "conventions"], ["pages/second"], ["notes", "pages/second"]]
    contents = {"root": "intro", "parts": [{"chapters": [{"file": file} for file in files]} for files in parts]}
    (sources / "_toc.yml").write_text(yaml.safe_dump(contents))
    links = "[one](pages/first.ipynb), [two](pages/second.ipynb)\n```{include} pages/in_short_second.md\n```\n"
    (sources / "intro.md").write_text(links)
    pretrained = experiment.model_copy(update={"backbone": "microsoft/wavlm-base-plus"})
    book(pretrained, sources=sources, pages=[write("first", "**Answer.** Yes.")], output=tmp_path / "out")
    copied = tmp_path / "out" / "source"
    contents["parts"] = [contents["parts"][0], {"chapters": [{"file": "notes"}]}]
    assert yaml.safe_load((copied / "_toc.yml").read_text()) == contents
    assert (copied / "intro.md").read_text().startswith("[one](pages/first.ipynb), two\n")
    assert (copied / "pages/in_short_second.md").read_text() == "This study has no such page.\n"


def test_findings_are_the_answers_with_their_values(write):
    pages = [
        write("first", "**Answer.** {glue:text}`eer:.1f` % by {glue:text}`best`.", eer=3.26, best="sls"),
        write("second", "**Answer.**\nNo."),
    ]
    assert list(findings(read(pages)).values()) == [
        "[Page first](pages/first.ipynb): 3.3 % by sls.",
        "[Page second](pages/second.ipynb): No.",
    ]


def test_a_study_of_random_weights_says_so_on_each_page_and_after_each_answer(
    tmp_path, write, jupyter_book, experiment
):
    page = write("first", "**Answer.** 3 % of 20 err. More.")
    book(experiment, sources=BOOK, pages=[page], output=tmp_path)
    mark = (BOOK / "_mark.md").read_text().strip()
    pages = tmp_path / "source" / "pages"
    assert nbformat.read(pages / "first.ipynb", as_version=4).cells[1].source.endswith(f"More. {mark}")
    assert (pages / "in_short_first.md").read_text() == f"[Page first](pages/first.ipynb): 3 % of 20 err. {mark}\n"
    settings = yaml.safe_load((tmp_path / "source" / "_config.yml").read_text())
    assert "random weights" in settings["sphinx"]["config"]["html_theme_options"]["announcement"]


def test_the_first_recording_that_plays_opens_the_book(write):
    page = write("first", "**Answer.** Yes.")
    played = {"text/html": '<div class="sslig-recording"></div>'}
    notebooks = read([page])
    assert hero(notebooks) == ""
    notebooks[page]["cells"][1]["outputs"] = [{"data": {"text/html": "<table>"}}, {"data": played}]
    assert hero(notebooks) == played["text/html"]


def test_a_page_without_an_answer_is_refused(write):
    with pytest.raises(PipelineError, match=r"first\.ipynb: no answer"):
        findings(read([write("first", None)]))


def test_an_answer_with_a_value_that_is_not_glued_is_refused(write):
    with pytest.raises(PipelineError, match=r"first\.ipynb: the answer names 'eer'; glued on the page: auc"):
        findings(read([write("first", "{glue:text}`eer`", auc=1.0)]))


def test_the_messages_of_jupyter_book_are_passed_on(tmp_path, write, jupyter_book, experiment):
    jupyter_book[1].update(returncode=2, stdout="reading sources", stderr="WARNING: a link leads nowhere")
    with pytest.raises(PipelineError, match=r"(?s)Jupyter Book failed on .*reading sources.*a link leads nowhere"):
        book(experiment, sources=BOOK, pages=[write("first", "Yes.")], output=tmp_path / "a")


def test_every_page_of_the_contents_is_there():
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [*contents.get("chapters", []), *(chapter for part in contents["parts"] for chapter in part["chapters"])]
    names = [contents["root"], *(chapter["file"] for chapter in chapters)]
    written = [name for name in names if not name.startswith("pages/")]
    executed = [name.removeprefix("pages/") for name in names if name.startswith("pages/")]
    assert [name for name in written if not list(BOOK.glob(f"{name}.*"))] == []
    assert [name for name in executed if not (BOOK.parent / "notebooks" / f"{name}.ipynb").is_file()] == []
