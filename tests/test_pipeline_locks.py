import os
import subprocess
import sys

import pytest

from sslig.pipeline.locks import HOLDER, hold

HOLD = """
import sys
from pathlib import Path
from sslig.pipeline.locks import hold
lock = hold(Path(sys.argv[1]), ["snakemake"])
print("held", flush=True)
sys.stdin.read()
"""


def start(folder):
    command = [sys.executable, "-c", HOLD, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)


def test_a_second_run_waits_and_says_for_whom(tmp_path):
    first = start(tmp_path / "runs")
    assert first.stdout.readline() == "held\n"
    second = start(tmp_path / "runs")
    message = second.stderr.readline()
    assert message.startswith(f"waiting: process {first.pid} on ")
    assert message.endswith(f"works on {tmp_path / 'runs'}\n")
    first.kill()  # a lock ends with its process, however that ends
    assert second.stdout.readline() == "held\n"
    assert (tmp_path / "runs" / HOLDER).read_text().startswith(f"process {second.pid} on ")
    second.communicate("")


@pytest.mark.parametrize("word", ["-n", "-np", "--dry-run", "--dryrun", "--unlock", "--list-rules"])
def test_a_command_that_only_looks_holds_nothing(tmp_path, word):
    assert hold(tmp_path / "runs", ["snakemake", "--cores", "2", word]) is None
    assert not os.listdir(tmp_path)
