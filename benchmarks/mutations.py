"""Break formulas one at a time, and check that the test of their module fails.

    python benchmarks/mutations.py

Each mutation replaces one piece of text in a copy of the package. A mutation that no test notices ends the run with
status 1.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MUTATIONS = []
"""Module, its text, the broken text, and the test that has to fail."""


def survives(module: str, text: str, broken: str, test: str) -> bool:
    """Whether the test passes although a formula of the module is broken."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("sslig", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "Snakefile"):
            shutil.copy(ROOT / name, copy)
        source = (copy / module).read_text(encoding="utf-8")
        if source.count(text) != 1:
            raise SystemExit(f"{module}: {text!r} occurs {source.count(text)} times; once is needed")
        (copy / module).write_text(source.replace(text, broken), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
        process = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
        if process.returncode not in (0, 1):
            raise SystemExit(f"{test} could not run on {module}:\n{process.stdout[-2000:]}")
        return process.returncode == 0


def main() -> None:
    """Break every formula and print what the tests say."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    survivors = 0
    for module, text, broken, test in MUTATIONS:
        survived = survives(module, text, broken, test)
        survivors += survived
        print(f"{'SURVIVED' if survived else 'caught'}\t{module}\t{text} -> {broken}\t{test}", flush=True)
    raise SystemExit(1 if survivors else 0)


if __name__ == "__main__":
    main()
