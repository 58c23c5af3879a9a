"""Global random generators: seeded for a training run, and their states, so that a resumed run draws what it would."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def seeded(seed: int, rank: int = 0) -> Iterator[None]:
    """Global generators from `seed`, and as they were afterwards: torch's for dropout and LayerDrop, numpy's because
    the SpecAugment of transformers draws its masks there.

    Parameters
    ----------
    seed
        Of the run.
    rank
        Of the process; each but the first has a seed of its own, so that no two drop the same.
    """
    own = seed if rank == 0 else int(np.random.SeedSequence((seed, rank)).generate_state(1)[0])
    before = np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(_devices()):
            torch.manual_seed(own)
            np.random.seed(own)  # noqa: NPY002
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def state() -> dict[str, Any]:
    """The states of the global generators, in types that ``torch.load(weights_only=True)`` reads."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    kept = {"torch": torch.get_rng_state(), "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest]}
    return kept | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else {})


def restore(kept: Mapping[str, Any]) -> None:
    """Put the global generators into the states that `state` gave."""
    name, keys, *rest = kept["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(kept["torch"])
    if "cuda" in kept and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(kept["cuda"])


def _devices() -> list[int]:
    """The GPU of this process: torch would take all of them otherwise, and warn."""
    return [torch.cuda.current_device()] if torch.cuda.is_available() else []
