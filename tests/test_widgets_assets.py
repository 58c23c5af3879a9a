import re
import shutil
import subprocess

import pytest

from sslig.widgets import assets

ENTRIES = sorted(path.stem for path in assets.STATIC.glob("*.js"))


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_module_has_nothing_left_to_load(entry):
    text = assets.module(entry)
    assert re.findall(r"^\s*import\b", text, re.MULTILINE) == []
    assert re.findall(r"https?://(?!wavesurfer\.xyz|www\.w3\.org)[\w.]+", text) == []


def test_a_module_holds_the_library_its_licence_and_what_it_imports_once():
    text = assets.module("lanes")
    assert "Copyright (c) 2012-2023, katspaugh and contributors" in text
    assert all(f"const {name} = (" in text for name in assets.SCRIPTS)
    assert text.count("function drawEvidence(") == text.count("function make(") == 1
    assert text.index("function drawEvidence(") < text.index("class LaneView")


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_module_is_one_scope_that_parses(entry, tmp_path):
    if not (node := shutil.which("node")):
        pytest.skip("no node to parse it")
    (tmp_path / "module.mjs").write_text(assets.module(entry), encoding="utf-8")
    checked = subprocess.run([node, "--check", tmp_path / "module.mjs"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_our_modules_never_read_text_as_markup():
    for path in assets.STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()), path


def test_a_missing_file_is_named(monkeypatch):
    with pytest.raises(assets.AssetError, match=r"nothing.js: no such file"):
        assets.module("nothing")
    monkeypatch.setattr(assets, "LIBRARY", "no_such_package")
    with pytest.raises(assets.AssetError, match=r"wavesurfer.min.js: no such file; an installed package"):
        assets.module.__wrapped__("lanes")
