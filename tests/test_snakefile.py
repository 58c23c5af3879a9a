"""The workflow: what a change of a value, of code or of prose makes run again, seen by a dry run on touched files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
EVERYTHING_AFTER_TRAINING = {"score", "attribute", "mask", "baseline", "faithfulness", "sanity", "localise", "profile"}


class Checkout:
    """A copy of the repository with a study whose outputs are all there, as far as Snakemake can see."""

    def __init__(self, root: Path) -> None:
        self.root, self.study = root, root / "experiments" / "smoke.yaml"
        for name in ("Snakefile", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, root / name)
        for name in ("sslig", "notebooks", "book", "profiles", "experiments"):
            shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))

    def snakemake(self, *words: str) -> str:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "experiment=experiments/smoke.yaml"]
        process = subprocess.run([*command, *words], cwd=self.root, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout + process.stderr

    def finish(self) -> None:
        """Run the workflow with rules that only touch their outputs."""
        text = (self.root / "Snakefile").read_text(encoding="utf-8")
        (self.root / "Snakefile").write_text(re.sub(r"(?m)^RULE = .+$", 'RULE = "touch {output:q} #"', text))
        self.snakemake()

    def due(self) -> set[str]:
        """The rules that would run."""
        listing = self.snakemake("--dry-run")
        stats = re.search(r"Job stats:\njob +count\n-+ +-+\n(.+?)\ntotal", listing, re.DOTALL)
        return {line.split()[0] for line in stats.group(1).splitlines()} if stats else set()

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    checkout.finish()
    return checkout


@pytest.fixture
def checkout(finished):
    """The finished checkout, whose edits are taken back."""
    texts = {path: path.read_text(encoding="utf-8") for path in finished.root.glob("sslig/**/*.py")}
    texts[finished.study] = finished.study.read_text(encoding="utf-8")
    yield finished
    for path, text in texts.items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def test_nothing_is_due_where_everything_is_there(checkout):
    assert checkout.due() == set()


def test_a_sentence_in_the_code_makes_nothing_run_again(checkout):
    for path in ("sslig/attribution/__init__.py", "sslig/scoring.py", "sslig/training/__init__.py"):
        file = checkout.root / path
        file.write_text(file.read_text(encoding="utf-8").replace('"""', '"""New sentence. ', 1) + "# a comment\n")
    assert checkout.due() == set()


@pytest.mark.parametrize(
    ("old", "new", "due", "spared"),
    [
        ("max_steps: 64", "max_steps: 128", {"attribute", "mask", "profile"}, {"train", "score", "baseline", "measure"}),
        ("baseline_utterances: 20", "baseline_utterances: 10", {"baseline", "attribute"}, {"train", "score"}),
        ("rounds: 200", "rounds: 300", {"page", "book"}, {"train", "score", "attribute", "mask", "localise"}),
        ("seeds: [0]", "seeds: [0]\nscoring: {crop_s: 1.0}", EVERYTHING_AFTER_TRAINING, {"train", "train_planted"}),
        ("seeds: [0]", "seeds: [0]\nscoring: {batch_size: 3}", {"page"}, {"train", "score", "attribute"}),
        ("profile_utterances: 8", "profile_utterances: 6", {"profile"}, {"train", "score", "attribute", "faithfulness"}),
    ],
)
def test_a_value_makes_what_it_decides_run_again_and_nothing_dearer(checkout, old, new, due, spared):
    checkout.edit("experiments/smoke.yaml", old, new)
    rules = checkout.due()
    assert due <= rules
    assert not spared & rules


@pytest.mark.parametrize(
    ("module", "due", "spared"),
    [
        ("sslig/attribution/methods.py", {"attribute", "faithfulness", "localise"}, {"train", "train_planted", "score"}),
        ("sslig/models/sls.py", EVERYTHING_AFTER_TRAINING, {"train", "train_planted", "measure", "segment"}),
        ("sslig/cues/artefacts.py", {"measure"}, {"train", "score", "attribute", "mask"}),
        ("sslig/pipeline/mask.py", {"mask"}, {"train", "score", "attribute"}),
    ],
)
def test_code_makes_what_it_decides_run_again_and_no_training(checkout, module, due, spared):
    file = checkout.root / module
    file.write_text(file.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
    rules = checkout.due()
    assert due <= rules
    assert not spared & rules


def test_a_value_of_the_training_makes_it_run_again(checkout):
    checkout.edit("experiments/smoke.yaml", "epochs: 2", "epochs: 3")
    assert {"train", "train_planted"} <= checkout.due()
