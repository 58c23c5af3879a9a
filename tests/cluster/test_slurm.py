"""A part of a small study through a real Slurm: as asked for, with a cancelled job, and with a killed driver.

`python -m pytest tests/cluster` runs it, as root with `slurm-wlm` and `munge`; elsewhere it skips with a reason.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 900
TABLES = ("ASVspoof5.train.tsv", "ASVspoof5.dev.track_1.tsv", "ASVspoof5.eval.track_1.tsv")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a run needs of the repository, with a small study called ``cluster``."""
    for name in ("sslig", "notebooks", "book", "pyproject.toml"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for name in ("Snakefile", "profiles/slurm/config.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    values = yaml.safe_load((REPOSITORY / "experiments" / "smoke.yaml").read_text())
    corpus = {"source": "synthetic", "root": "corpora/cluster", "recordings": {"train": 4, "dev": 2, "eval": 4}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values | {"name": "cluster", "corpus": corpus}))
    return tmp_path


@pytest.fixture
def drive(cluster: Path, checkout: Path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Starts Snakemake with the profile, asked for the protocols of the corpus."""
    drivers = []

    def start() -> subprocess.Popen:
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", "--slurm-no-account"]
        command += ["--default-resources", "slurm_partition=batch", "mem_mb=500", "runtime=10", "--jobs", "2"]
        command += ["--slurm-init-seconds-before-status-checks", "2"]
        command += ["--latency-wait", "5", "--config", "experiment=study.yaml", "--", f"corpora/cluster/{TABLES[0]}"]
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        drivers.append(
            subprocess.Popen(command, cwd=checkout, env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
        )
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()


def running() -> str:
    """The number of the job that runs, once there is one."""
    for _ in range(1200):
        queue = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%i"], capture_output=True, text=True, check=True)
        if queue.stdout.strip():
            return queue.stdout.split()[0]
        time.sleep(0.25)
    pytest.fail("no job has started")


def wait_until_empty() -> None:
    """Wait for the end of all jobs."""
    for _ in range(600):
        if not subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout.strip():
            return
        time.sleep(0.5)
    pytest.fail("jobs do not end")


def rows(checkout: Path) -> list[int]:
    return [len((checkout / "corpora/cluster" / name).read_text().splitlines()) for name in TABLES]


def test_a_rule_runs_as_a_job_with_what_the_profile_asks_for(drive, checkout):
    driver = drive()
    job = subprocess.run(["scontrol", "show", "job", running()], capture_output=True, text=True, check=True).stdout
    output, _ = driver.communicate(timeout=LIMIT_S)
    assert driver.returncode == 0, output.decode()[-2000:]
    assert "TimeLimit=04:00:00" in job
    assert "MinMemoryNode=4000M" in job
    assert "CPUs/Task=2" in job
    assert min(rows(checkout)) > 0


def test_a_cancelled_job_is_an_error_and_the_same_command_goes_on(drive, checkout):
    driver = drive()
    subprocess.run(["scancel", running()], check=True)
    output, _ = driver.communicate(timeout=LIMIT_S)
    assert driver.returncode != 0
    assert b"corpus" in output
    assert not (checkout / "corpora/cluster" / TABLES[0]).exists()
    again = drive()
    output, _ = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, output.decode()[-2000:]
    assert min(rows(checkout)) > 0


def test_a_killed_driver_leaves_its_job_and_a_new_one_ends_the_study(drive, checkout):
    driver = drive()
    running()
    driver.send_signal(signal.SIGKILL)
    driver.wait(timeout=30)
    wait_until_empty()
    before = rows(checkout)
    again = drive()
    output, _ = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, output.decode()[-2000:]
    assert rows(checkout) == before
