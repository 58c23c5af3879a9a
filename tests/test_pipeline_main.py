import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sslig.errors import PipelineError
from sslig.files import write_parquet
from sslig.pipeline.__main__ import RULES, bind, main

PIPELINE = Path(__file__).resolve().parents[1] / "sslig" / "pipeline"


def rule(study, *, scores: Path, seed: int, shards: list[Path], start: Path | None = None) -> None:
    """Stand in for a rule."""


def test_words_become_arguments_of_the_annotated_types():
    words = ["scores=a b.parquet", "seed=3", "shards=x=1.parquet", "y.parquet", "start=run"]
    assert bind(rule, words) == {
        "scores": Path("a b.parquet"),
        "seed": 3,
        "shards": [Path("x=1.parquet"), Path("y.parquet")],
        "start": Path("run"),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scores=a", "seed=3"], "rule: shards= is missing"),
        (["scores=a", "seed=three", "shards=a"], "rule: seed=three; accepted: int"),
        (["scores=a", "b", "seed=3", "shards=a"], "rule: scores=a b; accepted: Path"),
        (["score=a"], "rule: 'score=a'; accepted: scores=, seed=, shards=, start="),
        (["a"], "rule: 'a'; accepted: scores="),
    ],
)
def test_wrong_words_are_named(words, message):
    with pytest.raises(PipelineError, match=message):
        bind(rule, words)


def test_every_rule_is_a_module_with_a_function_of_its_name():
    helpers = {"__init__", "__main__", "outputs", "code", "check", "layout", "locks", "progress"}
    modules = {path.stem for path in PIPELINE.glob("*.py")} - helpers
    assert modules == set(RULES)
    for name in RULES:
        assert re.search(rf"\ndef {name}\(\s*study: Study", (PIPELINE / f"{name}.py").read_text(encoding="utf-8"))


def test_a_rule_that_fails_ends_with_one_line(experiment, tmp_path):
    words = [sys.executable, *["-m", "sslig.pipeline", "gather", "shards=none.parquet", "tables=none.parquet"]]
    words.insert(4, str(experiment.path))
    process = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith("error: gather: ")
    assert "none.parquet" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:50] + b"?" + content[51:]])
def test_a_damaged_input_is_named_with_the_command_that_makes_it_again(experiment, tmp_path, damage):
    shard = experiment.runs / "sls" / "seed0" / "scores.0of1.parquet"
    table, again = shard.parent / "scores.parquet", shard.parent / "again" / "scores.parquet"
    write_parquet(shard, pd.DataFrame({"utterance": ["a", "b"], "spoof_score": [1.0, 2.0]}))
    main(["gather", str(experiment.path), f"shards={shard}", f"tables={table}"])
    main(["gather", str(experiment.path), f"shards={table}", f"tables={again}"])
    table.write_bytes(damage(table.read_bytes()))
    with pytest.raises(SystemExit, match=r"error: gather: .*scores\.parquet: is not what was written") as caught:
        main(["gather", str(experiment.path), f"shards={table}", f"tables={again}"])
    remake = "snakemake --cores 1 --config experiment=experiment.yaml -- runs/tiny/sls/seed0/scores.parquet"
    assert remake in str(caught.value)
