"""The mean of several epochs' weights, a candidate beside the best epoch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

EPOCH = "epoch"


def last_epochs(folder: Path, count: int) -> ModelCheckpoint:
    """Keeps the weights of the last `count` epochs."""
    return ModelCheckpoint(folder, monitor=EPOCH, mode="max", save_top_k=count, save_weights_only=True)


def kept(keeper: ModelCheckpoint) -> list[tuple[int, Path]]:
    """Epoch and file of each checkpoint that is kept, earliest first."""
    paths = [Path(path) for path in keeper.best_k_models]
    return sorted((int(path.stem.split("-")[0].removeprefix(f"{EPOCH}=")), path) for path in paths)


def weights(path: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint, on the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def mean(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights in checkpoints (Izmailov et al. 2018, arXiv 1803.05407, equation 2).

    Running statistics of batch normalisation are averaged like weights; counters are those of the last checkpoint.
    One checkpoint is held in memory besides the sum.
    """
    first, *others = paths
    total = weights(first)
    for path in others:
        for name, value in weights(path).items():
            total[name] = total[name] + value if value.is_floating_point() else value
    return {name: value / len(paths) if value.is_floating_point() else value for name, value in total.items()}
