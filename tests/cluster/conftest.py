"""A cluster of one node on the loopback interface: Slurm's own daemons, started as root, with a fake GPU."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIGURATION = Path("/etc/slurm")
"""Jobs look there: the executor does not hand SLURM_CONF on."""

TEMPLATE = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
StateSaveLocation={folder}
SlurmdSpoolDir={folder}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 Gres=gpu:1
PartitionName=batch Nodes={host} Default=YES State=UP
"""


def missing() -> str:
    """Why no cluster can be started here; empty where it can."""
    programs = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if programs:
        return f"no {', '.join(programs)}: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "no snakemake-executor-plugin-slurm: pip install sslig[slurm]"
    if "SLURM_CONF" in os.environ or (CONFIGURATION / "slurm.conf").exists():
        return f"there is a cluster already: {os.environ.get('SLURM_CONF', CONFIGURATION / 'slurm.conf')}"
    return ""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the logs of a running cluster."""
    if reason := missing():
        pytest.skip(reason)
    folder, host = tmp_path_factory.mktemp("slurm"), socket.gethostname().partition(".")[0]
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    written = [CONFIGURATION / "slurm.conf", CONFIGURATION / "gres.conf"]
    CONFIGURATION.mkdir(exist_ok=True)
    written[0].write_text(TEMPLATE.format(host=host, folder=folder, cpus=os.cpu_count()))
    written[1].write_text(f"NodeName={host} Name=gpu File=/dev/null\n")
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    files = {name: f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")}
    subprocess.run(["munged", "--force", f"--socket={folder}/munge.socket", *files.values()], check=True)
    try:
        for daemon in ("slurmctld", "slurmd"):
            subprocess.run([daemon], check=True)
        _wait_until_idle()
        yield folder
    finally:
        for pid in (folder / name for name in ("slurmd.pid", "slurmctld.pid", "munge.pid")):
            if pid.is_file():
                os.kill(int(pid.read_text()), signal.SIGTERM)
        for file in written:
            file.unlink()


def _wait_until_idle() -> None:
    for _ in range(60):
        state = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False).stdout.strip()
        if state == "idle":
            return
        time.sleep(1)
    pytest.fail(f"the node of the cluster is {state or 'unknown'}")
