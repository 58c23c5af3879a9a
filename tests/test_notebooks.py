"""The notebooks as they are committed: stripped, parameterised, and thin."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
CODE_LINES = 15
"""Of a code cell, imports and blank lines not counted."""
IMPORT = re.compile(r"(import|from) \w")
SERVED = ("annotate", "explore")
"""Notebooks that are served to browsers and are no pages of the book."""

ABSOLUTE = re.compile(r"""["'](/|~|[A-Za-z]:\\)\w""")


def faults(notebook):
    """What a notebook has that a committed one may not have, as sentences."""
    cells = notebook.cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    sentences = [f"cell {i} has outputs" for i, cell in enumerate(code) if cell.outputs]
    sentences += [f"cell {i} has an execution count" for i, cell in enumerate(code) if cell.execution_count is not None]
    for i, cell in enumerate(code):
        lines = [line for line in cell.source.splitlines() if line.strip() and not IMPORT.match(line)]
        sentences += [f"cell {i} has {len(lines)} lines"] if len(lines) > CODE_LINES else []
        sentences += [f"cell {i} has an absolute path: {line}" for line in lines if ABSOLUTE.search(line)]
        kinds = {type(node).__name__ for node in ast.walk(ast.parse(cell.source))}
        defining = kinds & {"FunctionDef", "AsyncFunctionDef", "ClassDef", "Lambda"}
        sentences += [f"cell {i} holds {name}" for name in sorted(defining)]
    return sentences + _opening_faults(cells) + _parameter_faults(code)


def _opening_faults(cells):
    first = cells[0]
    sentences = []
    if first.cell_type != "markdown" or not re.match(r"# \S", first.source):
        sentences.append("no title")
    if not re.search(r"^\*\*Question\.\*\* .+\?$", first.source, re.MULTILINE):
        sentences.append("no question")
    return sentences


def _parameter_faults(code):
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1 or tagged[0] is not code[0]:
        return ["the first code cell is not the one parameters cell"]
    bare = [line for line in tagged[0].source.splitlines() if not re.match(r"\w+ = .+  # \w", line)]
    return [f"a parameter without a comment: {line}" for line in bare]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_has_no_faults(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert faults(notebook) == []


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem not in SERVED], ids=lambda path: path.stem)
def test_a_page_answers_its_question_with_values_that_it_computes(path):
    cells = nbformat.read(path, 4).cells
    (answer,) = [cell for cell in cells if "answer" in cell.metadata.get("tags", [])]
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    names = re.findall(r"\{glue(?::\w+)?\}`([^`:]+)", answer.source)
    assert answer.cell_type == "markdown"
    assert answer.source.startswith("**Answer.** ")
    assert names
    assert [name for name in names if f'"{name}"' not in code and f"'{name}'" not in code] == []


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 4


@pytest.fixture
def sound():
    """A notebook without faults."""
    code = nbformat.v4.new_code_cell
    return nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell("# A page\n\n**Question.** Is it so?"),
        code('experiment = "experiments/demo.yaml"  # a file', metadata={"tags": ["parameters"]}),
        code("1 + 1"),
    ])  # fmt: skip


def test_a_sound_notebook_has_no_faults(sound):
    assert faults(sound) == []


@pytest.mark.parametrize(
    ("cell", "values", "fault"),
    [
        (0, {"source": "A page\n\n**Question.** Is it so?"}, "no title"),
        (0, {"source": "# A page\n\nIs it so."}, "no question"),
        (1, {"metadata": {}}, "the first code cell is not the one parameters cell"),
        (1, {"source": "n = 1"}, "a parameter without a comment: n = 1"),
        (2, {"execution_count": 3}, "cell 1 has an execution count"),
        (2, {"outputs": [nbformat.v4.new_output("stream", text="2")]}, "cell 1 has outputs"),
        (2, {"source": "def f():\n    return 1"}, "cell 1 holds FunctionDef"),
        (2, {"source": "class Thing:\n    pass"}, "cell 1 holds ClassDef"),
        (2, {"source": "x = 1\n" * 16}, "cell 1 has 16 lines"),
        (2, {"source": "open('/home/me/x')"}, "cell 1 has an absolute path: open('/home/me/x')"),
        (2, {"source": 'open("~me/x")'}, 'cell 1 has an absolute path: open("~me/x")'),
    ],
)
def test_each_fault_is_found(sound, cell, values, fault):
    sound.cells[cell].update(values)
    assert fault in faults(sound)
