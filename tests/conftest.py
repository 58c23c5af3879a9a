"""What several test modules share: the folder of reference data, generators of randomness, small sound files."""

import os
from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference data: ``SSLIG_REFERENCE``, or ``shared/reference`` beside the repository."""
    folder = Path(os.environ.get("SSLIG_REFERENCE", REPOSITORY.parent / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip("no reference data: set SSLIG_REFERENCE to their folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def tone() -> np.ndarray:
    """(samples,) One second of a 440 Hz tone at 16 kHz."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.float32)
