"""Whether an explanation knows the head: what becomes of it when the parameters are shuffled."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from sslig.validation.faithfulness import removals
from sslig.validation.replacement import Scores
from sslig.validation.sanity import agreement
from sslig.validation.statistics import measured

GROUPS = 5
BINS = 20

ExplainHead = Callable[[nn.Module, Tensor], np.ndarray]
"""From a head and (1, layer, frame, feature) to the (frame,) explanation of its logit."""

Group = tuple[str, list[str]]
"""What a group of parameters is called, and their names in the head."""


def groups(head: nn.Module, at_most: int = GROUPS) -> list[Group]:
    """The parameters of a head in up to `at_most` groups, from its output to its input.

    The modules of a head come in the order it names them, last first, and parameters of its own as the last of all.
    Neighbours share a group where there are more modules than groups.
    """
    modules: dict[str, list[str]] = {}
    for name, _ in head.named_parameters():
        modules.setdefault(name.split(".")[0], []).append(name)
    own = [name for name in modules if modules[name] == [name]]
    ordered = [name for name in reversed(modules) if name not in own] + own[::-1]
    parts = np.array_split(np.array(ordered, dtype=object), min(at_most, len(ordered)))
    return [
        (
            part[0] if len(part) == 1 else f"{part[0]} … {part[-1]}",
            [name for module in part for name in modules[module]],
        )
        for part in parts
    ]


def shuffled(head: nn.Module, names: Sequence[str], seed: int) -> nn.Module:
    """A copy of a head with the values of each of these parameters in random order.

    What a parameter holds stays what it was, so that its activations keep their size; a parameter of one value stays as
    it is, and so do the running statistics of batch normalisation.
    """
    changed = copy.deepcopy(head)
    parameters = dict(changed.named_parameters())
    with torch.no_grad():
        for name in names:
            generator = torch.Generator().manual_seed(crc32(f"{seed} {name}".encode()))
            flat = parameters[name].flatten()
            parameters[name].copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(parameters[name]))
    return changed


def rows(
    explain: ExplainHead,
    head: nn.Module,
    features: Tensor,
    scores_of: Callable[[nn.Module], Scores],
    *,
    n_read: int,
    draws: int,
    seed: int,
    at_most: int = GROUPS,
) -> list[dict[str, object]]:
    """The test of randomised parameters for one utterance.

    An explanation that stays alike when the head forgets what it learnt explains something else: the features, or the
    method. *Cascading* shuffles group after group from the output down and keeps what was shuffled, *independent*
    shuffles one group at a time. Maps are compared by the size of their rank correlation over the frames read, because
    shuffled parameters may turn the sign of all evidence. By chance maps correlate because neighbouring frames are
    alike: the control is the map against itself after shifts.

    Some parameters hold nothing, and shuffled they leave the head as it was. Therefore the heads are compared too, by
    what removing stretches does to the score of either: a map may stay as alike as they are, and the *excess* says how
    much more alike it is.

    The rise of complexity is that of the whole head: (E(shuffled) - E) / E, where E is `entropy`.

    Parameters
    ----------
    explain
        The method, told which head.
    head, features
        What is explained, (1, layer, frame, feature).
    scores_of
        The scores of a head by the frames that are replaced.
    n_read
        Frames from the start that the head reads.
    draws, seed
        Of the shifts, the shuffles and the stretches.
    at_most
        Groups of parameters (`groups`).

    Returns
    -------
    list of dict
        The columns of `sslig.validation.statistics.measured`; ``at`` counts the groups and names them.

    References
    ----------
    J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.
    A. Hedström et al., "A fresh look at sanity checks for saliency maps", xAI 2024 (efficient MPRT: the rise of
    complexity, in place of a comparison of maps layer by layer).
    """

    def changes(changed: nn.Module) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return removals(scores_of(changed), features.shape[2], n_read, generator=generator).changes

    of_map = _Likeness.of(explain(head, features)[:n_read], draws, seed)
    of_head = _Likeness.of(changes(head), draws, seed)
    told, done, last = [], [], of_map.original
    for number, (name, own) in enumerate(groups(head, at_most), start=1):
        done += own
        both = {"cascading": shuffled(head, done, seed)}
        both["independent"] = both["cascading"] if number == 1 else shuffled(head, own, seed)
        maps = {kind: explain(changed, features)[:n_read] for kind, changed in both.items()}
        for kind, changed in both.items():
            at = f"{number} {name}"
            one = of_map.row(f"randomised_{kind}", maps[kind], at)
            other = of_head.row(f"randomised_head_{kind}", changes(changed), at)
            excess = one["value"] - other["value"]
            told += [one, other, measured(f"randomised_excess_{kind}", excess, [0.0], at=at)]
        last = maps["cascading"]
    before = entropy(of_map.original)
    rise = (entropy(last) - before) / before if before > 0 else np.nan
    return told + [measured("complexity_rise", rise, [0.0], at="")]


@dataclass(frozen=True)
class _Likeness:
    """What others are compared with, and how alike it is to itself by chance."""

    original: np.ndarray
    chance: np.ndarray

    @classmethod
    def of(cls, original: np.ndarray, draws: int, seed: int) -> "_Likeness":
        controls = agreement(original, original, draws=draws, generator=np.random.default_rng(seed))[1]
        return cls(original, np.abs(controls))

    def row(self, statistic: str, other: np.ndarray, at: str) -> dict[str, object]:
        return measured(statistic, abs(agreement(self.original, other)[0]), self.chance, at=at)


def entropy(frames: np.ndarray, bins: int = BINS) -> float:
    """Entropy of the histogram of (frame,) values between the smallest and the largest, in nats: 0 where all are equal.

    Some hundred frames fill twenty bins; the published test has a hundred, for images.
    """
    counts, _ = np.histogram(frames, bins=bins)
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum()) + 0.0
