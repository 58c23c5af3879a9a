"""The data set: balanced random crops for training, whole utterances in batches of equal length for scoring."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, Dataset, Sampler

from sslig import audio
from sslig.data.augment import Augmentation
from sslig.errors import AudioError, DataError, StudyError
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.labels import KEYS

HEADERS_AT_ONCE = 16
"""Headers of sound files that are read at once: reading them waits for a disk or a network share."""


@dataclass(frozen=True)
class Draw:
    """One crop to cut: the epoch, its position among the draws of the epoch, and the row of its utterance."""

    epoch: int
    position: int
    row: int


class BalancedSampler(Sampler[Draw]):
    """`n_draws` with replacement, as many bona fide as spoof, that follow from the seed and the epoch.

    `labels` are those of the rows to draw from, (utterance,).

    Raises
    ------
    DataError
        A class has no utterance.
    """

    def __init__(self, labels: np.ndarray, n_draws: int, seed: int) -> None:
        self.rows = {key: np.flatnonzero(labels == label) for key, label in KEYS.items()}
        for key, rows in self.rows.items():
            if len(rows) == 0:
                raise DataError(f"balanced sampling needs both classes; of {len(labels)} utterances none is {key}")
        self.n_draws, self.seed, self.epoch = n_draws, seed, 0
        self.done: dict[int, int] = {}

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def resume(self, epoch: int, n_done: int) -> None:
        """Continue `epoch` after its first `n_done` draws; later epochs are complete."""
        self.epoch, self.done = epoch, {epoch: n_done}

    def __len__(self) -> int:
        return self.n_draws

    def __iter__(self) -> Iterator[Draw]:
        generator = np.random.default_rng((self.seed, self.epoch))
        classes = list(self.rows.values())
        order = generator.permutation(np.arange(self.n_draws) % len(classes))
        done = self.done.get(self.epoch, 0)
        # Draws that are done are repeated, because each one advances the generator.
        for position, which in enumerate(order):
            draw = Draw(self.epoch, position, int(generator.choice(classes[which])))
            if position >= done:
                yield draw


class Shares(BatchSampler):
    """The share of one process in each batch: every `world`-th draw from the `rank`-th on.

    Together, the shares of all processes are the batch that a single process would draw.

    Raises
    ------
    StudyError
        The batch cannot be shared evenly.
    """

    def __init__(self, sampler: BalancedSampler, batch_size: int, rank: int = 0, world: int = 1) -> None:
        if batch_size % world:
            shared = f"batches of {batch_size} cannot be shared evenly by {world} processes"
            raise StudyError(f"training.batch_size: {shared}")
        super().__init__(sampler, batch_size, drop_last=True)
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[Draw]]:
        for batch in super().__iter__():
            yield batch[self.rank :: self.world]


class Crops(Dataset):
    """Random crops of fixed length with their labels; shorter utterances are repeated, and augmentation is optional.

    An item is requested by a `Draw`. Its place and its augmentation depend only on seed and draw, so they are the same
    with any number of workers. Parts of an augmentation that may change the length see the whole recording; the others
    see the crop, which is shorter. `table` has ``path``, ``label`` and, for an augmentation, ``utterance``.
    """

    def __init__(
        self, table: pd.DataFrame, crop_samples: int, seed: int, augmentation: Augmentation | None = None
    ) -> None:
        self.paths, self.labels = table["path"].to_numpy(), table["label"].to_numpy()
        self.names = table["utterance"].to_numpy() if augmentation else None
        self.crop_samples, self.seed = crop_samples, seed
        self.whole, self.part = (augmentation or Augmentation(())).split()

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, int]:
        """(samples,) The crop, its label () as float32, and the row of its utterance."""
        generator = np.random.default_rng((self.seed, draw.epoch, draw.position))
        samples = self._augmented(self.part, np.resize(self._cut(draw, generator), self.crop_samples), draw)
        return torch.from_numpy(samples), torch.tensor(float(self.labels[draw.row])), draw.row

    def _cut(self, draw: Draw, generator: np.random.Generator) -> np.ndarray:
        path, whole = self.paths[draw.row], None
        if self.whole.parts:
            whole = self._augmented(self.whole, audio.read(path), draw)
        spare = (audio.n_samples(path) if whole is None else len(whole)) - self.crop_samples
        start = int(generator.integers(spare + 1)) if spare > 0 else 0
        return audio.read(path, start, self.crop_samples) if whole is None else whole[start:][: self.crop_samples]

    def _augmented(self, augmentation: Augmentation, samples: np.ndarray, draw: Draw) -> np.ndarray:
        if not augmentation.parts:
            return samples
        # An utterance may be drawn more than once in an epoch: the position tells its draws apart.
        return augmentation(samples, draw.epoch, f"{self.names[draw.row]} {draw.position}", self.seed)


@dataclass(frozen=True)
class Loaded:
    """One utterance read for scoring: its row, and its samples or the fault of its file."""

    row: int
    samples: Tensor | None
    fault: str | None = None


class Utterances(Dataset):
    """Whole utterances, or their first `crop_samples`, trimmed to the samples that their frames use.

    A faulty file becomes an item with the fault, so that it does not stop a batch.
    """

    def __init__(
        self, table: pd.DataFrame, clock: FrameClock, crop_samples: int | None, max_s: float, min_frames: int = 1
    ) -> None:
        self.paths, self.clock, self.crop_samples = table["path"].to_numpy(), clock, crop_samples
        self.max_s, self.min_frames = max_s, min_frames

    def n_frames(self) -> tuple[np.ndarray, dict[int, str]]:
        """(utterance,) The frames of each utterance by the header of its file, 0 for a faulty one, and the faults."""
        with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
            headers = list(pool.map(self._frames_and_fault, self.paths))
        faults = {row: fault for row, (_, fault) in enumerate(headers) if fault}
        return np.array([frames for frames, _ in headers], dtype=int), faults

    def _frames_and_fault(self, path: str) -> tuple[int, str | None]:
        try:
            length = audio.n_samples(path)
        except AudioError as error:
            return 0, str(error)
        if self.crop_samples is not None:
            return self.clock.n_frames(self.crop_samples), None
        if length > self.max_s * SAMPLE_RATE_HZ:
            return 0, (
                f"{path}: {length / SAMPLE_RATE_HZ:.1f} s long, above the limit max_s of {self.max_s:g} s; attention "
                "over time needs memory with the square of the length: score a crop (crop_s), or raise max_s"
            )
        if self.clock.n_frames(length) < self.min_frames:
            needed = self.clock.n_samples(self.min_frames)
            return 0, f"{path}: {length} samples at 16 kHz are too few: {needed} are needed"
        return self.clock.n_frames(length), None

    def __getitem__(self, row: int) -> Loaded:
        path = self.paths[row]
        try:
            samples = audio.read(path, 0, self.crop_samples)
        except AudioError as error:
            return Loaded(row, None, str(error))
        if self.crop_samples is not None:
            samples = np.resize(samples, self.crop_samples)  # repeats a short one
        used = self.clock.n_samples(self.clock.n_frames(len(samples)))
        return Loaded(row, torch.from_numpy(samples[:used]))


def equal_length_batches(n_frames: np.ndarray, batch_size: int) -> list[list[int]]:
    """Rows in batches of equal numbers of frames (utterance,), without padding; rows with 0 frames are left out.

    An SSL encoder that normalises over time computes other features for a padded waveform, and a score would depend on
    the batch.
    """
    groups = [np.flatnonzero(n_frames == length).tolist() for length in np.unique(n_frames[n_frames > 0])]
    return [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]
