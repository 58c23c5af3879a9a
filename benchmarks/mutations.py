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

MUTATIONS = [
    (
        "sslig/frames.py",
        "+ self.receptive_field_samples / 2) / SAMPLE_RATE_HZ",
        "+ self.receptive_field_samples) / SAMPLE_RATE_HZ",
        "tests/test_frames.py",
    ),
    (
        "sslig/stats/metrics.py",
        "np.take_along_axis((p_miss + p_fa) / 2, at",
        "np.take_along_axis(p_miss, at",
        "tests/test_stats_metrics.py",
    ),
    ("sslig/stats/metrics.py", "/ np.log(2) / 2", "/ np.log(10) / 2", "tests/test_stats_metrics.py"),
    ("sslig/stats/tests.py", "(1 + np.minimum(below, above))", "np.minimum(below, above)", "tests/test_stats_tests.py"),
    ("sslig/stats/calibration.py", "- weights @ mean", "+ weights @ mean", "tests/test_stats_calibration.py"),
    ("sslig/models/sls.py", "(gate.unsqueeze(-1) * x).sum(dim=1)", "x.sum(dim=1)", "tests/test_models_sls.py"),
    ("sslig/models/camhfa.py", "weights.softmax(dim=0), features", "weights, features", "tests/test_models_camhfa.py"),
    (
        "sslig/attribution/explanation.py",
        "abs(self.residual / self.difference)",
        "abs(self.residual)",
        "tests/test_attribution_explanation.py",
    ),
    (
        "sslig/validation/localisation.py",
        "(rankdata(frames) - (n + 1) / 2) / (n * m)",
        "(rankdata(frames) - n / 2) / (n * m)",
        "tests/test_validation_localisation.py",
    ),
    (
        "sslig/validation/localisation.py",
        "(spoof - place) / (spoof - twin)",
        "(spoof - place) / twin",
        "tests/test_validation_localisation.py",
    ),
    ("sslig/cues/effects.py", "(n_trials - 2)", "n_trials", "tests/test_cues_effects.py"),
    ("sslig/training/run.py", "value / len(paths)", "value", "tests/test_training_run.py"),
]
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
