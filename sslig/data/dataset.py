"""From a table of utterances to tensors: balanced random crops for training, equal-length batches for scoring."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, Dataset, Sampler

from sslig import audio
from sslig.audio import AudioError
from sslig.data.augment import Augmentation
from sslig.frames import SAMPLE_RATE_HZ, FrameClock
from sslig.labels import KEYS

HEADERS_AT_ONCE = 16
"""Headers of sound files that are read at once: waiting for a disk or a network share, not computing."""


@dataclass(frozen=True)
class Draw:
    """One crop to make: which utterance, in which epoch, as which draw of that epoch."""

    epoch: int
    position: int
    row: int


class BalancedSampler(Sampler[Draw]):
    """Draws with replacement, as many bona fide as spoof, the same for a seed and an epoch.

    Parameters
    ----------
    labels
        (utterance,) Labels of the rows that are drawn from.
    n_draws
        Draws of an epoch.
    seed
        With the epoch, it decides every draw.

    Raises
    ------
    ValueError
        A class has no utterance.
    """

    def __init__(self, labels: np.ndarray, n_draws: int, seed: int) -> None:
        self.rows = {key: np.flatnonzero(labels == label) for key, label in KEYS.items()}
        for key, rows in self.rows.items():
            if len(rows) == 0:
                raise ValueError(f"balanced sampling needs both classes; of {len(labels)} utterances none is {key}")
        self.n_draws, self.seed, self.epoch = n_draws, seed, 0
        self.done: dict[int, int] = {}

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose draws the next iteration gives."""
        self.epoch = epoch

    def resume(self, epoch: int, n_done: int) -> None:
        """Go on with `epoch` behind its first `n_done` draws; later epochs are whole."""
        self.epoch, self.done = epoch, {epoch: n_done}

    def __len__(self) -> int:
        return self.n_draws

    def __iter__(self) -> Iterator[Draw]:
        generator = np.random.default_rng((self.seed, self.epoch))
        classes = list(self.rows.values())
        order = generator.permutation(np.arange(self.n_draws) % len(classes))
        done = self.done.get(self.epoch, 0)
        # What is done is drawn once more, because every draw moves the generator on.
        for position, which in enumerate(order):
            draw = Draw(self.epoch, position, int(generator.choice(classes[which])))
            if position >= done:
                yield draw


class Shares(BatchSampler):
    """One process' share of each batch: of a batch's draws every `world`-th, from its `rank`-th on.

    The shares of all processes are the batch that one process alone would draw, each draw in one of them.

    Raises
    ------
    ValueError
        The batch cannot be shared evenly.
    """

    def __init__(self, sampler: BalancedSampler, batch_size: int, rank: int = 0, world: int = 1) -> None:
        if batch_size % world:
            raise ValueError(f"batches of {batch_size} cannot be shared evenly by {world} processes")
        super().__init__(sampler, batch_size, drop_last=True)
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[list[Draw]]:
        for batch in super().__iter__():
            yield batch[self.rank :: self.world]


class Crops(Dataset):
    """Random crops of fixed length with their labels, augmented where asked; a shorter utterance is repeated.

    Items are asked for by `Draw`; the crop's place and its augmentation depend on seed, epoch and draw only, so they
    are the same with any number of workers. What an augmentation has to do to whole recordings, because it changes
    their length, is done before the crop is cut; all else is done to the crop, which is shorter.

    Parameters
    ----------
    table
        Utterances with ``utterance`` (where there is an augmentation), ``path`` and ``label``.
    crop_samples
        Length of every crop.
    seed
        Of places and augmentation.
    augmentation
        What is done to recordings; none: nothing.
    """

    def __init__(
        self, table: pd.DataFrame, crop_samples: int, seed: int, augmentation: Augmentation | None = None
    ) -> None:
        self.paths, self.labels = table["path"].to_numpy(), table["label"].to_numpy()
        self.names = table["utterance"].to_numpy() if augmentation else None
        self.crop_samples, self.seed = crop_samples, seed
        self.whole, self.part = (augmentation or Augmentation(())).split()

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor, int]:
        """(samples,) crop, its label () as float32, and the row of its utterance."""
        generator = np.random.default_rng((self.seed, draw.epoch, draw.position))
        samples = self._augmented(self.part, repeat_to(self._cut(draw, generator), self.crop_samples), draw)
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
        # An utterance is drawn more than once an epoch: each draw is told apart by its position.
        return augmentation(samples, draw.epoch, f"{self.names[draw.row]} {draw.position}", self.seed)


def repeat_to(samples: np.ndarray, length: int) -> np.ndarray:
    """(length,) The samples, said again from their start until `length` is full, or cut to it."""
    return np.resize(samples, length)


@dataclass(frozen=True)
class Loaded:
    """One utterance as read for scoring: its row, its samples, or what was wrong with its file."""

    row: int
    samples: Tensor | None
    fault: str | None = None


class Utterances(Dataset):
    """Whole utterances, or their first `crop_samples`, trimmed to the samples that their frames use.

    A file with a fault gives an item that says so, so that one bad file does not stop a batch.
    """

    def __init__(
        self, table: pd.DataFrame, clock: FrameClock, crop_samples: int | None, max_s: float, min_frames: int = 1
    ) -> None:
        self.paths, self.clock, self.crop_samples = table["path"].to_numpy(), clock, crop_samples
        self.max_s, self.min_frames = max_s, min_frames

    def n_frames(self) -> tuple[np.ndarray, dict[int, str]]:
        """(utterance,) Frames of each utterance by its file's header, 0 where it has a fault, and those faults."""
        with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
            found = list(pool.map(self._frames_or_fault, self.paths))
        faults = {row: fault for row, fault in enumerate(found) if isinstance(fault, str)}
        return np.array([0 if isinstance(one, str) else one for one in found]), faults

    def _frames_or_fault(self, path: str) -> int | str:
        try:
            return self._frames_of(path)
        except AudioError as error:
            return str(error)

    def _frames_of(self, path: str) -> int:
        length = audio.n_samples(path)
        if self.crop_samples is not None:
            return self.clock.n_frames(self.crop_samples)
        if length > self.max_s * SAMPLE_RATE_HZ:
            raise AudioError(f"{path}: {length / SAMPLE_RATE_HZ:.1f} s long, above the limit max_s of {self.max_s:g} s;"
                             " attention over time needs memory with the square of it: score a crop (crop_s), or "
                             "raise max_s")  # fmt: skip
        if self.clock.n_frames(length) < self.min_frames:
            raise AudioError(f"{path}: {length} samples at 16 kHz are too few: "
                             f"{self.clock.n_samples(self.min_frames)} are needed")  # fmt: skip
        return self.clock.n_frames(length)

    def __getitem__(self, row: int) -> Loaded:
        path = self.paths[row]
        try:
            samples = audio.read(path, 0, self.crop_samples)
        except AudioError as error:
            return Loaded(row, None, str(error))
        if self.crop_samples is not None:
            samples = repeat_to(samples, self.crop_samples)
        used = self.clock.n_samples(self.clock.n_frames(len(samples)))
        return Loaded(row, torch.from_numpy(samples[:used]))


class EqualLengthBatches(BatchSampler):
    """Batches of utterances with the same number of frames, so that nothing is padded; rows with 0 frames are left out.

    An SSL encoder that normalises over time gives other features to a padded waveform, so a score would depend on the
    batch it was computed in.
    """

    def __init__(self, n_frames: np.ndarray, batch_size: int) -> None:
        order = np.argsort(n_frames, kind="stable")
        order = order[n_frames[order] > 0]
        edges = np.flatnonzero(np.diff(n_frames[order])) + 1
        groups = np.split(order, edges) if len(order) else []
        self.batches = [
            group[start : start + batch_size].tolist() for group in groups for start in range(0, len(group), batch_size)
        ]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
