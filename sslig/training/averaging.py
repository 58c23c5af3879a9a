"""The average of the weights of several epochs, a candidate beside the best epoch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor


def keeper(folder: Path, monitor: str, mode: str, count: int) -> ModelCheckpoint:
    """Keep the weights of the `count` epochs with the lowest (``min``) or highest `monitor`, and of one more."""
    # One more: Lightning removes a checkpoint before the checkpoint to resume from, which still lists it, is replaced.
    # A run that is killed in between resumes with the last of its list missing, which is never among the foremost.
    return ModelCheckpoint(folder, monitor=monitor, mode=mode, save_top_k=count + 1, save_weights_only=True)


def foremost(checkpoints: ModelCheckpoint, count: int) -> list[tuple[int, Path]]:
    """Epoch and file of the `count` foremost checkpoints, or of all where there are fewer; earliest epoch first."""
    models = {Path(path): float(value) for path, value in checkpoints.best_k_models.items() if Path(path).is_file()}
    ranked = sorted(models, key=models.get, reverse=checkpoints.mode == "max")[:count]
    return sorted((int(path.stem.split("-")[0].removeprefix("epoch=")), path) for path in ranked)


def weights(path: Path) -> dict[str, Tensor]:
    """The weights in a checkpoint, on the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def mean(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights in checkpoints (Izmailov et al. 2018, arXiv 1803.05407, equation 2).

    Running statistics of batch normalisation are averaged like weights; counters are those of the last checkpoint.
    """
    first, *others = paths
    total = weights(first)
    for path in others:
        for name, value in weights(path).items():
            total[name] = total[name] + value if value.is_floating_point() else value
    return {name: value / len(paths) if value.is_floating_point() else value for name, value in total.items()}
