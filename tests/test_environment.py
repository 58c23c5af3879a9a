"""The files from which others build an environment name what is there: Python, extras, modules, experiments."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])


@pytest.fixture
def dockerfile():
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_conda_installs_the_package_with_extras_that_exist_on_a_python_that_it_accepts():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *others, pip = environment["dependencies"]
    lowest = re.search(r">=(\d+\.\d+)", PROJECT["requires-python"])[1]
    assert f"python={lowest}" in others
    assert {"pip", "make"} <= set(others)
    assert set(re.search(r"-e \.\[([\w,]+)\]", " ".join(pip["pip"]))[1].split(",")) <= EXTRAS


def test_the_image_copies_installs_and_serves_what_is_there(dockerfile):
    assert set(re.search(r'-e "\.\[([\w,]+)\]"', dockerfile)[1].split(",")) <= EXTRAS
    module, experiment = re.search(r'"-m", "([\w.]+)", "([\w./]+)"', dockerfile).groups()
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    assert (ROOT / experiment).is_file()
    assert dockerfile.index("COPY . .") < dockerfile.index("pip install")
    assert '"--address", "0.0.0.0", "--token"' in dockerfile  # the server refuses the address without a token
