"""The mean of several epochs' weights, a candidate beside the best epoch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

EPOCH = "epoch"


def best_epochs(folder: Path, monitor: str, count: int) -> ModelCheckpoint:
    """Keeps the weights of the `count` epochs with the lowest `monitor`, and of one more."""
    return _keeper(folder, monitor, "min", count)


def last_epochs(folder: Path, count: int) -> ModelCheckpoint:
    """Keeps the weights of the last `count` epochs, and of one more."""
    return _keeper(folder, EPOCH, "max", count)


def kept(keeper: ModelCheckpoint, count: int) -> list[tuple[int, Path]]:
    """Epoch and file of the `count` foremost checkpoints, or of all where there are fewer; earliest epoch first."""
    models = {Path(path): float(value) for path, value in keeper.best_k_models.items() if Path(path).is_file()}
    foremost = sorted(models, key=models.get, reverse=keeper.mode == "max")[:count]
    return sorted((int(path.stem.split("-")[0].removeprefix(f"{EPOCH}=")), path) for path in foremost)


def _keeper(folder: Path, monitor: str, mode: str, count: int) -> ModelCheckpoint:
    # One more: a checkpoint is removed before the run's own, which still counts on it, is written. A run killed in
    # between goes on with the last of its list missing, which is never among the foremost.
    return ModelCheckpoint(folder, monitor=monitor, mode=mode, save_top_k=count + 1, save_weights_only=True)


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
