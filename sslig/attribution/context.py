"""What attribution methods need besides a detector and a recording: where to start, the threshold, options, seeds."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
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
from sslig.attribution.target import SPACES, view
from sslig.corpora import protocol
from sslig.corpora.protocol import draw
from sslig.errors import InputError
from sslig.labels import BONAFIDE as BONAFIDE_LABEL
from sslig.labels import KEYS, SPOOF
from sslig.models.detector import Detector, select_device
from sslig.stats.metrics import eer_threshold
from sslig.study import Attribution as Options
from sslig.study import Scoring, Study

BONAFIDE_MEAN, ZERO, NONSPEECH, BLURRED = BASELINES = ("bonafide_mean", "zero", "nonspeech", "blurred")
"""Baselines by name: the mean bona fide frame, the origin, the mean bona fide frame without speech, and the explained
features themselves, blurred over time."""

BLUR_FRAMES = 10
"""Standard deviation of the blur, 200 ms: it removes what changes within a syllable."""

DRAWS = 8
"""Utterances of each class of *train* that methods may start from."""

SMOOTH, BALANCED, BONAFIDE = ORIGINS = ("smooth", "balanced", "bonafide")
"""Where paths start: from the mean bona fide frame and real utterances of either class, blurred over time; from as many
real utterances of either class as they are; or from bona fide ones alone. A real utterance has its own details at
every moment, which its paths attribute to the moments of the explained one; blurred, it has none. Where all smooth
starts score on one side of the threshold, methods take real utterances from the other side too."""


@dataclass(frozen=True)
class Draw:
    """A real utterance that paths may start from: its class, and its (layer, frame, feature) input by space."""

    label: int
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Context:
    """All that a method may need, made once for a detector.

    `baselines` are by name; ``zero`` and ``blurred`` need none. `draws` are real utterances, and `threshold` is the
    score above which the decision is spoof, where it is known. Random draws follow `seed`, their purpose and the name
    of the explained `utterance`.
    """

    baselines: Mapping[str, Baseline]
    draws: tuple[Draw, ...] = ()
    options: Options = field(default_factory=Options)
    seed: int = 0
    utterance: str = ""
    threshold: float | None = None

    def of(self, utterance: str) -> "Context":
        """The same for one utterance, which has random draws to itself."""
        return dataclasses.replace(self, utterance=utterance)

    def start(self, name: str, x: Tensor, space: str) -> Tensor:
        """(1, layer, frame, feature) The baseline called `name` for an input of `space`."""
        if name == BLURRED:
            return blurred(x)
        if name == ZERO:
            return torch.zeros_like(x)
        if name not in self.baselines:
            raise InputError(f"baseline {name!r}; there are {', '.join([*self.baselines, ZERO, BLURRED])}")
        return self.baselines[name].like(x, space)

    def drawn(self, n: int, origin: str) -> list[Draw]:
        """`n` real utterances or as many as there are, half of them of either class or all of them bona fide."""
        classes = [[draw for draw in self.draws if draw.label == label] for label in (SPOOF, BONAFIDE_LABEL)]
        parts = [0, n] if origin == BONAFIDE else [n // 2, n - n // 2]
        drawn = [draw for part, draws in zip(parts, classes, strict=True) for draw in draws[:part]]
        if not drawn:
            raise InputError(f"{origin} draws of real utterances are needed to start from; there are none")
        return drawn

    def starts(self, n: int, origin: str, x: Tensor, space: str) -> Tensor:
        """(start, layer, frame, feature) What paths to `x` start from, by one of `ORIGINS` and `n` real utterances."""
        drawn = [draw.inputs[space] for draw in self.drawn(n, origin)]
        starts = torch.stack([fitted(each, x.shape[2]) for each in drawn]).to(x)
        if origin != SMOOTH:
            return starts
        if BONAFIDE_MEAN in self.baselines:
            mean = self.start(BONAFIDE_MEAN, x, space)
        else:
            bonafide = [draw.inputs[space].mean(dim=1, keepdim=True) for draw in self.drawn(n, BONAFIDE)]
            mean = torch.stack(bonafide).mean(dim=0)[None].to(x).expand_as(x)
        return torch.cat([mean, blurred(starts)])

    def generator(self, purpose: str) -> torch.Generator:
        """The generator of random draws for `purpose`; the same for the same seed and utterance."""
        return torch.Generator().manual_seed(crc32(f"{self.seed} {self.utterance} {purpose}".encode()))


def load(
    study: Study,
    seed: int,
    detector: Detector,
    corpus: Path,
    baseline: Path,
    nonspeech: Path | None = None,
    scores_dev: Path | None = None,
    spaces: Sequence[str] = SPACES,
) -> Context:
    """The context of a detector trained from `seed`: its stored means, draws of *train* utterances, the threshold.

    Draws are kept in `spaces` only; those in feature space take some megabytes each.
    """
    files = {BONAFIDE_MEAN: baseline, NONSPEECH: nonspeech}
    stored = {name: baselines.load(path) for name, path in files.items() if path is not None}
    threshold, draws = None if scores_dev is None else dev_threshold(pd.read_parquet(scores_dev)), ()
    if spaces:
        train = protocol.load_set(corpus, study.corpus.reference)
        drawn = pd.concat([draw(train[train["label"] == label], DRAWS, seed) for label in KEYS.values()])
        table, device = drawn.reset_index(drop=True), select_device(study.device)
        draws = real_draws(detector, table, study.scoring, device, spaces)
    return Context(stored, draws, study.attribution, seed, threshold=threshold)


def dev_threshold(scores: pd.DataFrame) -> float:
    """The EER threshold of a table of scores: above it a score means spoof, since a logit need not be calibrated."""
    return eer_threshold(*(scores.loc[scores["key"] == key, "spoof_score"] for key in ("bonafide", "spoof")))


def neutral_weights(scores: Tensor, threshold: float | None) -> Tensor:
    """(start,) Shares of starts such that the mean of their `scores` is the threshold, where they lie on both sides.

    Starts on one side count alike. With s the share of those above the threshold and m the mean score of a side, it is
    s m_above + (1 - s) m_below = threshold, so that s = (threshold - m_below) / (m_above - m_below). Without a
    threshold, or with all starts on one side, all count alike.
    """
    if threshold is None or one_sided(scores, threshold):
        return torch.full_like(scores, 1 / len(scores))
    above = scores > threshold
    low, high = scores[~above].mean(), scores[above].mean()
    share = (threshold - low) / (high - low)
    return torch.where(above, share / above.sum(), (1 - share) / (~above).sum())


def one_sided(scores: Tensor, threshold: float | None) -> bool:
    """Whether all scores lie on one side of a threshold that is known."""
    return threshold is not None and bool((scores > threshold).all() or (scores <= threshold).all())


def fitted(drawn: Tensor, n_frames: int) -> Tensor:
    """(layer, frame, feature) A real utterance, cut or repeated to `n_frames`."""
    return drawn[:, torch.arange(n_frames, device=drawn.device) % drawn.shape[1]]


def blurred(features: Tensor) -> Tensor:
    """(batch, layer, frame, feature) Features after a Gaussian blur over frames; the ends are continued.

    References
    ----------
    Sturmfels et al., "Visualizing the Impact of Feature Attribution Baselines", Distill 2020.
    """
    values = gaussian_filter1d(features.detach().cpu().numpy(), BLUR_FRAMES, axis=2, mode="nearest")
    return torch.from_numpy(values).to(features)


def real_draws(
    detector: Detector,
    utterances: pd.DataFrame,
    options: Scoring,
    device: str | torch.device,
    spaces: Sequence[str] = SPACES,
) -> tuple[Draw, ...]:
    """The inputs of the utterances, in their order; unreadable ones are left out."""
    rows, left_out = scoring.one_by_one(utterances, detector, options, device)
    draws = {}
    with torch.no_grad():
        for row, waveform in rows:
            inputs = {space: view(detector, waveform, space)[1][0] for space in spaces}
            draws[row["utterance"]] = Draw(int(row["label"]), inputs)
    if not draws:
        raise InputError(f"none of {len(utterances)} utterances to start from could be read: {left_out.faults}")
    return tuple(draws[name] for name in utterances["utterance"] if name in draws)


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
