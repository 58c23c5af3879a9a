import json
import shutil

import pytest

from sslig.pipeline import code


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A package ``sslig`` of three modules, the first of which imports the second; writes one of them and forgets."""
    package = tmp_path / "sslig"
    package.mkdir()
    monkeypatch.setattr(code, "PACKAGE", package)

    def write(name, source):
        (package / f"{name}.py").write_text(source)
        code._module.cache_clear()
        return code.fingerprint("sslig.top") if (package / "top.py").is_file() else None

    write("bottom", '"""A module."""\nx = 1\n')
    write("other", "y = 1\n")
    yield write
    shutil.rmtree(package)
    code._module.cache_clear()


TOP = '"""A module."""\n\n\ndef f():\n    """A function."""\n    from sslig import bottom\n\n    return bottom.x\n'


def test_comments_docstrings_and_spaces_change_nothing(house):
    before = house("top", TOP)
    assert house("top", TOP.replace("A function.", "Another sentence.")) == before
    assert house("top", TOP + "# a comment\n") == before
    assert house("bottom", '"""Another sentence."""\n\nx  =  1\n') == before


def test_code_that_is_imported_counts_and_other_code_does_not(house):
    before = house("top", TOP)
    assert house("other", "y = 2\n") == before
    assert house("bottom", "x = 2\n") != before


def test_the_values_of_a_study_do_not_count(house):
    house("study", "z = 1\n")
    before = house("top", TOP + "import sslig.study\n")
    assert house("study", "z = 2\n") == before


def test_a_notebook_counts_with_its_prose(house, tmp_path):
    house("top", TOP)
    page = tmp_path / "page.ipynb"

    def with_cells(prose, source):
        cells = [{"cell_type": "markdown", "source": [prose]}, {"cell_type": "code", "source": [source]}]
        page.write_text(json.dumps({"cells": cells}))
        return code.fingerprint(page)

    before = with_cells("# A page", "from sslig import top")
    assert with_cells("# A page", "from sslig import top  # read") == before
    assert with_cells("# Another", "from sslig import top") != before
    assert with_cells("# A page", "from sslig import other") != before


def test_a_missing_module_is_an_error(house):
    house("top", TOP)
    with pytest.raises(FileNotFoundError, match=r"no module sslig\.none"):
        code.fingerprint("sslig.none")
