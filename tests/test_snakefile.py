"""The workflow: what a change of a value, of code or of prose makes run again, seen by a dry run on touched files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
        for other in ("aasist", "camhfa"):  # jobs cost time, and those of one detector stand for all
            self.edit("experiments/smoke.yaml", f"  {other}: {{", f"  # {other}: {{")

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
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def append(self, name: str, line: str) -> None:
        with (self.root / name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


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


def test_nothing_is_due_where_everything_is_there_and_only_sentences_are_new(checkout):
    for name in ("sslig/attribution/__init__.py", "sslig/scoring.py", "sslig/training/__init__.py"):
        checkout.edit(name, '"""', '"""New sentence. ')
        checkout.append(name, "# a comment")
    assert checkout.due() == set()


# Edits that decide different rules share a dry run; no rule that one of them makes due is spared by another.
@pytest.mark.parametrize(
    ("edits", "modules", "due", "spared"),
    [
        (
            ["max_steps: 16 -> max_steps: 32"],
            [],
            {"attribute", "mask", "profile"},
            {"train", "score", "baseline", "measure"},
        ),
        (["baseline_utterances: 20 -> baseline_utterances: 10"], [], {"baseline", "attribute"}, {"train", "score"}),
        (
            ["seeds: [0] -> seeds: [0]\nscoring: {crop_s: 1.0}"],
            [],
            EVERYTHING_AFTER_TRAINING,
            {"train", "train_planted"},
        ),
        (["rounds: 200 -> rounds: 300"], [], {"page", "book"}, {"train", "score", "attribute", "mask", "localise"}),
        (
            ["seeds: [0] -> seeds: [0]\nscoring: {batch_size: 3}", "profile_utterances: 8 -> profile_utterances: 6"],
            ["cues/artefacts.py"],
            {"page", "profile", "measure"},
            {"train", "score", "attribute", "faithfulness", "mask"},
        ),
        (
            [],
            ["attribution/methods.py"],
            {"attribute", "faithfulness", "localise"},
            {"train", "train_planted", "score"},
        ),
        ([], ["models/sls.py"], EVERYTHING_AFTER_TRAINING, {"train", "train_planted", "measure", "segment"}),
        ([], ["pipeline/mask.py"], {"mask"}, {"train", "score", "attribute"}),
        (["epochs: 2 -> epochs: 3"], [], {"train", "train_planted"}, set()),
    ],
)
def test_values_and_code_make_what_they_decide_run_again_and_nothing_dearer(checkout, edits, modules, due, spared):
    for edit in edits:
        checkout.edit("experiments/smoke.yaml", *edit.split(" -> "))
    for module in modules:
        checkout.append(f"sslig/{module}", "CHANGED = True")
    rules = checkout.due()
    assert due <= rules
    assert not spared & rules


def test_a_corpus_with_one_set_has_the_pages_that_need_no_other(checkout):
    study = checkout.root / "experiments" / "wild.yaml"
    text = checkout.study.read_text(encoding="utf-8").replace("name: smoke", "name: wild")
    corpus = "corpus: {source: in_the_wild, root: wild, tests: {more: {source: in_the_wild, root: wild}}}\nunused:"
    values = yaml.safe_load(text.replace("corpus:", corpus, 1))
    values.pop("unused")
    study.write_text(yaml.safe_dump(values), encoding="utf-8")
    (checkout.root / "wild").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--config", f"experiment={study}"]
    run = {"cwd": checkout.root, "capture_output": True, "text": True, "check": False}
    page = subprocess.run([*command, "--", "runs/wild/pages/01_corpus.ipynb"], **run)
    assert page.returncode == 0, page.stdout + page.stderr
    assert "corpus, page" in page.stdout
    other = subprocess.run([*command, "--", "runs/wild/pages/03_evaluate.ipynb"], **run)
    assert other.returncode != 0
