"""What attribution methods need besides a head and features: baselines, real bona fide features, options, seeds."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from sslig import scoring
from sslig.attribution import baselines
from sslig.attribution.baselines import Baseline
from sslig.corpora import protocol
from sslig.corpora.protocol import draw
from sslig.errors import InputError
from sslig.labels import KEYS
from sslig.models.detector import Detector, select_device
from sslig.study import Attribution as Options
from sslig.study import Scoring, Study

BONAFIDE_MEAN, ZERO, NONSPEECH, BLURRED = BASELINES = ("bonafide_mean", "zero", "nonspeech", "blurred")
"""Baselines by name: the mean bona fide frame, the origin, the mean bona fide frame without speech, and the explained
features themselves, blurred over time."""

BLUR_FRAMES = 10
"""Standard deviation of the blur, 200 ms: it removes what changes within a syllable."""

DRAWS = 8
"""Bona fide utterances of *train* that methods may start from: as many as they take by default."""


@dataclass(frozen=True)
class Context:
    """All that a method may need, made once for a detector.

    `baselines` are by name; ``zero`` and ``blurred`` need none. `draws` are (layer, frame, feature) features of real
    bona fide utterances. Random draws follow `seed`, their purpose and the name of the explained `utterance`.
    """

    baselines: Mapping[str, Baseline]
    draws: tuple[Tensor, ...] = ()
    options: Options = field(default_factory=Options)
    seed: int = 0
    utterance: str = ""

    def of(self, utterance: str) -> "Context":
        """The same for one utterance, which has random draws to itself."""
        return dataclasses.replace(self, utterance=utterance)

    def start(self, name: str, features: Tensor) -> Tensor:
        """(1, layer, frame, feature) The baseline called `name` for (1, layer, frame, feature) features."""
        if name == BLURRED:
            return blurred(features)
        if name == ZERO:
            return torch.zeros_like(features)
        if name not in self.baselines:
            raise InputError(f"baseline {name!r}; there are {', '.join([*self.baselines, ZERO, BLURRED])}")
        return self.baselines[name].like(features)

    def starts(self, n: int, features: Tensor) -> Tensor:
        """(start, layer, frame, feature) The first `n` real bona fide utterances, cut or repeated to fit `features`."""
        if not 1 <= n <= len(self.draws):
            raise InputError(f"{n} bona fide draws; accepted: 1 to the {len(self.draws)} that there are")
        n_frames = features.shape[2]
        starts = [drawn[:, torch.arange(n_frames) % drawn.shape[1]] for drawn in self.draws[:n]]
        return torch.stack(starts).to(features)

    def generator(self, purpose: str) -> torch.Generator:
        """The generator of random draws for `purpose`; the same for the same seed and utterance."""
        return torch.Generator().manual_seed(crc32(f"{self.seed} {self.utterance} {purpose}".encode()))


def load(study: Study, seed: int, detector: Detector, corpus: Path, baseline: Path, nonspeech: Path) -> Context:
    """The context of a detector trained from `seed`: its stored means, and draws of bona fide *train* utterances."""
    train = protocol.load_set(corpus, "train")
    drawn = draw(train[train["label"] == KEYS["bonafide"]], DRAWS, seed)
    stored = {BONAFIDE_MEAN: baselines.load(baseline), NONSPEECH: baselines.load(nonspeech)}
    draws = bonafide_draws(detector, drawn, study.scoring, select_device(study.device))
    return Context(stored, draws, study.attribution, seed)


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
    """(layer, frame, feature) of each of the utterances in `bonafide`, in their order; unreadable ones are left out."""
    rows, left_out = scoring.one_by_one(bonafide, detector, options, device)
    with torch.no_grad():
        features = {row["utterance"]: detector.features(waveform)[0] for row, waveform in rows}
    if not features:
        raise InputError(f"none of {len(bonafide)} bona fide utterances could be read: {left_out.faults}")
    return tuple(features[name] for name in bonafide["utterance"] if name in features)


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let the global generators of torch and NumPy, which captum draws from, follow `generator` within a block."""
    seed = int(torch.randint(2**31, (), generator=generator))
    state = np.random.get_state()  # noqa: NPY002 captum calls numpy.random itself
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
