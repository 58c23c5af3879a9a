"""The processes that train one detector together, one for each GPU, as ``torchrun`` or ``srun`` starts them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from torch import distributed, nn

from sslig.training.errors import TrainingError

WAIT = timedelta(hours=2)
"""How long a process waits for another, which may have longer utterances of dev to score."""


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is.

    Attributes
    ----------
    rank, world
        Its number among all, from 0, and how many they are.
    local_rank, local_world
        The same on its node; a node's n-th process has the node's n-th GPU.
    launcher
        ``torchrun``, ``srun``, or none for a process alone.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    launcher: str | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes."""
        return self.rank == 0

    @property
    def nodes(self) -> int:
        """How many nodes they are on."""
        return self.world // self.local_world

    def environment(self) -> ClusterEnvironment:
        """What Lightning calls the launcher; without one, it may not find out that it is inside a Slurm job."""
        if self.launcher == "srun":
            return SLURMEnvironment(auto_requeue=False)  # sslig.training.signals handles what comes before requeueing
        return TorchElasticEnvironment() if self.launcher == "torchrun" else LightningEnvironment()

    def gather(self, value: Any) -> list[Any]:
        """The value of each process, in the order of ranks; every process has to ask."""
        values = [value] * self.world
        if self.world > 1:
            distributed.all_gather_object(values, value)
        return values

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers of the first: running statistics differ where each has seen its share only."""
        if self.world > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Go on when all are here."""
        if self.world > 1:
            distributed.barrier()


def found(environment: Mapping[str, str]) -> Processes:
    """What the environment says about this process.

    Raises
    ------
    TrainingError
        The processes are not spread evenly over the nodes.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return Processes(*(int(environment[name]) for name in names), launcher="torchrun")
    # A job's script is no task of a step: what it starts without srun is alone, whatever the job asked for.
    world, nodes = (int(environment.get(f"SLURM_STEP_NUM_{name}", 1)) for name in ("TASKS", "NODES"))
    if world == 1:
        return Processes()
    if world % nodes:
        raise TrainingError(f"{world} tasks on {nodes} nodes; accepted: as many on each (srun --ntasks-per-node)")
    rank, local_rank = (int(environment[name]) for name in ("SLURM_PROCID", "SLURM_LOCALID"))
    return Processes(rank, world, local_rank, world // nodes, "srun")


@contextmanager
def connected(device: torch.device) -> Iterator[Processes]:
    """The processes of this run, connected for the length of a block.

    Parameters
    ----------
    device
        On ``cuda`` each process takes the GPU of its local rank, and gradients go over NCCL; else over Gloo.
    """
    processes = found(os.environ)
    if processes.world == 1:
        yield processes
        return
    environment = processes.environment()
    os.environ |= {"MASTER_ADDR": environment.main_address, "MASTER_PORT": str(environment.main_port)}
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(processes.local_rank)
        backend = "cpu:gloo,cuda:nccl"  # what is no tensor of a GPU is gathered without one
    distributed.init_process_group(backend, rank=processes.rank, world_size=processes.world, timeout=WAIT)
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
