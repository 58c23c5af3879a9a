"""What attribution methods need besides a head and features: baselines, real bona fide features, seeds."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from sslig import scoring
from sslig.attribution.baselines import Baseline, BaselineError
from sslig.models.detector import Detector
from sslig.study import Attribution as Options
from sslig.study import Scoring

BONAFIDE_MEAN, ZERO, NONSPEECH, BLURRED = BASELINES = ("bonafide_mean", "zero", "nonspeech", "blurred")
"""Baselines by name: the mean bona fide frame, the origin, the mean bona fide frame without speech, and the explained
features themselves, blurred over time."""

BLUR_FRAMES = 10
"""Standard deviation of the blur, 200 ms: what changes within a syllable is gone, and what stays is kept."""


@dataclass(frozen=True)
class Context:
    """All that a method may need, made once for a detector.

    Attributes
    ----------
    baselines
        By name; ``blurred`` needs none.
    draws
        (layer, frame, feature) Features of real bona fide utterances.
    options
        Points on a path, tolerance, and whether a head that selects nodes may keep its selection.
    seed
        Of all random draws, together with the method and the utterance.
    utterance
        Which one is explained.
    """

    baselines: Mapping[str, Baseline]
    draws: tuple[Tensor, ...] = ()
    options: Options = field(default_factory=Options)
    seed: int = 0
    utterance: str = ""

    def of(self, utterance: str) -> "Context":
        """The same for one utterance: its random draws are its own."""
        return dataclasses.replace(self, utterance=utterance)

    def start(self, name: str, features: Tensor) -> Tensor:
        """(1, layer, frame, feature) The baseline called `name` for (1, layer, frame, feature) features.

        Raises
        ------
        BaselineError
            There is none of this name, or it does not fit.
        """
        if name == BLURRED:
            return blurred(features)
        if name not in self.baselines:
            raise BaselineError(f"baseline {name!r}; there are {', '.join([*self.baselines, BLURRED])}")
        return self.baselines[name].like(features)

    def starts(self, n: int, features: Tensor) -> Tensor:
        """(start, layer, frame, feature) The first `n` real bona fide utterances, as long as `features`.

        A longer one is cut, a shorter one repeated.

        Raises
        ------
        BaselineError
            There are fewer, or they do not fit.
        """
        if not 1 <= n <= len(self.draws):
            raise BaselineError(f"{n} bona fide draws; accepted: 1 to the {len(self.draws)} that there are")
        n_frames = features.shape[2]
        found = [one[:, torch.arange(n_frames) % one.shape[1]] for one in self.draws[:n]]
        wrong = [one.shape for one in found if one.shape != features.shape[1:]]
        if wrong:
            raise BaselineError(f"a bona fide draw of shape {tuple(wrong[0])} does not fit features of shape "
                                f"{tuple(features.shape)}")  # fmt: skip
        return torch.stack(found).to(features)

    def generator(self, what: str) -> torch.Generator:
        """Of the random draws of `what`; the same for the same seed and utterance."""
        return torch.Generator().manual_seed(crc32(f"{self.seed} {self.utterance} {what}".encode()))


def blurred(features: Tensor) -> Tensor:
    """(batch, layer, frame, feature) Features after a Gaussian blur over frames; the ends are continued.

    References
    ----------
    Sturmfels et al., "Visualizing the Impact of Feature Attribution Baselines", Distill 2020.
    """
    values = gaussian_filter1d(features.detach().cpu().numpy(), BLUR_FRAMES, axis=2, mode="nearest")
    return torch.from_numpy(values).to(features)


def bonafide_draws(
    detector: Detector, bonafide: pd.DataFrame, options: Scoring, device: str | torch.device
) -> tuple[Tensor, ...]:
    """(layer, frame, feature) of each of the utterances in `bonafide`, in their order; unreadable ones are left out.

    Raises
    ------
    BaselineError
        None could be read.
    """
    one_by_one = dataclasses.replace(options, batch_size=1)
    batches, left_out = scoring.batches(bonafide, detector, one_by_one)
    with torch.no_grad(), scoring.evaluating(detector, device):
        found = {batch.rows[0]: detector.features(batch.waveforms.to(device))[0] for batch in batches}
    if not found:
        raise BaselineError(f"none of {len(bonafide)} bona fide utterances could be read: {left_out.faults}")
    return tuple(found[row] for row in sorted(found))


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Within, the global generators of torch and NumPy, which captum draws from, go by `generator`."""
    seed = int(torch.randint(2**31, (), generator=generator))
    state = np.random.get_state()  # noqa: NPY002 captum calls numpy.random itself
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
