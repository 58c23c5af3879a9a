import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sslig.errors import InputError, PipelineError
from sslig.pipeline.page import execute, page
from sslig.study import load

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


@pytest.fixture
def write(tmp_path):
    """Writes a notebook of code cells; the first is its parameters cell."""

    def to_file(*sources, parameters='n = 1  # any integer\nword = "a"  # any text', name="page", metadata=KERNEL):
        cells = [new_markdown_cell("# A page"), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        path = tmp_path / "templates" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        cells += [new_code_cell(source) for source in sources]
        nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
        return path

    return to_file


@pytest.fixture
def output(tmp_path):
    return tmp_path / "made" / "page.ipynb"


def printed(path):
    """What the cells of an executed notebook printed."""
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    return [output.text for output in outputs if output.output_type == "stream"]


def test_a_page_runs_on_its_study_and_twice_gives_the_same_file(write, output, experiment, monkeypatch):
    monkeypatch.chdir(experiment.root)
    template = write("print(experiment)", parameters='experiment = "none"  # a file')
    before = template.read_bytes()
    page(load(experiment.path), notebook=template, output=output)
    assert printed(output) == ["experiment.yaml\n"]
    assert template.read_bytes() == before
    first, executed = output.read_bytes(), nbformat.read(output, 4)
    (injected,) = [cell for cell in executed.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert "hide-input" in injected.metadata["tags"]
    page(load(experiment.path), notebook=template, output=output)
    assert output.read_bytes() == first


def test_a_failing_cell_leaves_the_output_and_keeps_the_run(write, output):
    output.parent.mkdir()
    output.write_text("an earlier page")
    with pytest.raises(PipelineError, match=r"page\.ipynb: cell \d+ raised KeyError: 'no such thing'"):
        execute(write("print('before')", "raise KeyError('no such thing')"), output, {})
    assert output.read_text() == "an earlier page"
    assert "before\n" in printed(output.with_suffix(".failed.ipynb"))
    execute(write("print('mended')"), output, {"n": 2})
    assert [path.name for path in output.parent.iterdir()] == ["page.ipynb"]


def test_a_kernel_that_dies_is_an_error(write, output):
    with pytest.raises(PipelineError, match=r"page\.ipynb: the kernel died"):
        execute(write("import os; os._exit(3)"), output, {})
    assert not output.exists()


def test_a_long_temporary_folder_leaves_room_for_sockets(write, output, tmp_path, monkeypatch):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    execute(write("print(n)"), output, {"n": 3})
    assert printed(output) == ["3\n"]


def test_an_unknown_parameter_is_refused_before_anything_runs(write, output, tmp_path):
    template = write(f"open({str(tmp_path / 'trace')!r}, 'w')")
    with pytest.raises(InputError, match=r"page\.ipynb: unknown parameter 'm'; known: n, word"):
        execute(template, output, {"n": 3, "m": 4})
    assert not (tmp_path / "trace").exists()


def test_a_file_that_cannot_be_run_is_refused(write, output, tmp_path):
    with pytest.raises(InputError, match="no such notebook"):
        execute(tmp_path, output, {})
    with pytest.raises(InputError, match="no cell tagged 'parameters' that sets any"):
        execute(write("print(1)", parameters="# none"), output, {})
    (tmp_path / "text.ipynb").write_text("plain text")
    with pytest.raises(InputError, match=r"text\.ipynb: not a notebook that can be run"):
        execute(tmp_path / "text.ipynb", output, {})
    with pytest.raises(InputError, match=r"bare\.ipynb: not a notebook that can be run.*kernel"):
        execute(write("print(1)", name="bare", metadata={}), output, {})
