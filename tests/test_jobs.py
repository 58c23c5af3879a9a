import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sslig.pipeline import page as jobs
from sslig.pipeline.page import JobError, parameters_of, run

PARAMETERS = 'n = 1  # any integer\nword = "a"  # any text'
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def write(tmp_path):
    """Writes a notebook of code cells; the first is its parameters cell."""

    def to_file(*sources, parameters=PARAMETERS, name="page"):
        cells = [new_markdown_cell("# A page"), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        path = tmp_path / "templates" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells + [new_code_cell(source) for source in sources], metadata=KERNEL), path)
        return path

    return to_file


@pytest.fixture
def output(tmp_path):
    return tmp_path / "made" / "page.ipynb"


def printed(path):
    """What the cells of an executed notebook printed."""
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    return [output.text for output in outputs if output.output_type == "stream"]


def test_a_notebook_runs_with_its_parameters(write, output):
    template = write("print(n, word)")
    before = template.read_bytes()
    assert run(template, output, {"n": 21}) == output
    assert printed(output) == ["21 a\n"]
    assert template.read_bytes() == before
    assert [path.name for path in output.parent.iterdir()] == ["page.ipynb"]
    made = nbformat.read(output, 4)
    assert "papermill" not in made.metadata
    assert not any({"papermill", "execution"} & set(cell.metadata) for cell in made.cells)
    (injected,) = [cell for cell in made.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert "hide-input" in injected.metadata["tags"]


def test_the_same_run_gives_the_same_file(write, output):
    template = write("print(n)")
    first = run(template, output, {"n": 2}).read_bytes()
    assert run(template, output, {"n": 2}).read_bytes() == first


def test_a_failing_cell_leaves_the_output_and_keeps_the_run(write, output):
    template = write("print('before')", "raise KeyError('no such thing')", "print('after')")
    output.parent.mkdir()
    output.write_text("an earlier page")
    with pytest.raises(JobError, match=r"page\.ipynb: cell \d+ raised KeyError: 'no such thing'") as error:
        run(template, output, {})
    failed = output.parent / "page.failed.ipynb"
    assert str(failed) in str(error.value)
    assert output.read_text() == "an earlier page"
    assert "before\n" in printed(failed)
    assert sorted(path.name for path in output.parent.iterdir()) == ["page.failed.ipynb", "page.ipynb"]
    run(write("print('mended')"), output, {})
    assert [path.name for path in output.parent.iterdir()] == ["page.ipynb"]


def test_a_kernel_that_dies_is_an_error(write, output):
    with pytest.raises(JobError, match=r"page\.ipynb: the kernel died"):
        run(write("import os; os._exit(3)"), output, {})
    assert not output.exists()


def test_an_unknown_parameter_is_refused_before_anything_runs(write, output, tmp_path):
    template = write(f"open({str(tmp_path / 'trace')!r}, 'w')")
    with pytest.raises(JobError, match=r"page\.ipynb: unknown parameter 'm'; known: n, word"):
        run(template, output, {"n": 3, "m": 4})
    assert not (tmp_path / "trace").exists()
    assert not output.parent.exists()


def test_the_parameters_of_a_notebook_are_those_of_its_cell(write):
    assert parameters_of(write("other = 3")) == ["n", "word"]


def test_a_notebook_without_parameters_is_refused(write, output):
    with pytest.raises(JobError, match=r"page\.ipynb: no cell tagged 'parameters' that sets any"):
        run(write("print(1)", parameters="# none"), output, {})


def test_a_missing_notebook_is_refused(tmp_path, output):
    with pytest.raises(JobError, match=r"none\.ipynb: no such notebook"):
        run(tmp_path / "none.ipynb", output, {})


def test_a_file_that_is_no_notebook_is_refused(tmp_path, output, write):
    (tmp_path / "text.ipynb").write_text("no notebook")
    with pytest.raises(JobError, match=r"text\.ipynb: no notebook that can be run"):
        run(tmp_path / "text.ipynb", output, {})
    nbformat.write(new_notebook(cells=nbformat.read(write(), 4).cells), tmp_path / "bare.ipynb")
    with pytest.raises(JobError, match=r"bare\.ipynb: no notebook that can be run.*kernel"):
        run(tmp_path / "bare.ipynb", output, {})


def test_a_folder_is_no_notebook(tmp_path, output):
    with pytest.raises(JobError, match="no such notebook"):
        run(tmp_path, output, {})


@pytest.fixture
def ran(monkeypatch):
    """What the command line hands to `run`, which itself does nothing."""
    calls = []
    monkeypatch.setattr(jobs, "run", lambda *arguments: calls.append(arguments))
    return calls


def test_values_on_the_command_line_are_yaml(ran, monkeypatch, capsys):
    arguments = ["-p", "seeds", "[0, 1]", "-p", "detectors", "null", "-p", "experiment", "a.yaml", "-p", "rate", "0.1"]
    monkeypatch.setattr(sys, "argv", ["jobs", "02_train.ipynb", "made.ipynb", *arguments])
    jobs.main()
    values = {"seeds": [0, 1], "detectors": None, "experiment": "a.yaml", "rate": 0.1}
    assert ran == [("02_train.ipynb", "made.ipynb", values)]
    assert capsys.readouterr().err.startswith("02_train None [0, 1]: done in 0 s")


def test_the_command_line_fails_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["jobs", str(tmp_path / "none.ipynb"), "made.ipynb"])
    with pytest.raises(SystemExit, match=r"^error: .*none\.ipynb: no such notebook$"):
        jobs.main()
