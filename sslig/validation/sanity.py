"""Sanity: whether an explanation knows the parameters of the head, and stays what it is where nothing changed."""

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from zlib import crc32

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from sslig.stats.tests import standardised
from sslig.validation.faithfulness import Scores, removals
from sslig.validation.statistics import Controls, Rows, measured, rolled, shifts

GROUPS = 5
BINS = 20
SHIFTS_FRAMES = (1, 3, 10)
STEPS = (16, 32, 64)
MANY_STEPS = 128
PERTURBED, SAMPLES = 0.02, 3
"""Size of small changes of features, relative to the standard deviation of their layer, and their number."""


def agreement(
    first: np.ndarray, second: np.ndarray, controls: Controls, *, ranks: bool = True
) -> tuple[float, np.ndarray]:
    """Spearman's correlation of two (frame,) maps, without `ranks` Pearson's, and (draw,) with the second one shifted.

    NaN where one of them does not vary.
    """
    a, b = (standardised(rankdata(frames) if ranks else frames) for frames in (first, second))
    moved = rolled(b, shifts(len(b), controls.draws, controls.generator()))
    return float(np.mean(a * b)), moved @ a / len(a)


def _alike(
    statistic: str, first: np.ndarray, second: np.ndarray, at: str, controls: Controls, *, ranks: bool = True
) -> dict[str, object]:
    return measured(statistic, *agreement(first, second, controls, ranks=ranks), at=at)


def groups(head: nn.Module) -> list[tuple[str, list[str]]]:
    """The parameters of a head in up to `GROUPS` groups, each with a title, from its output to its input.

    The modules of a head come in the order in which it names them, last first; its bare parameters come last of all.
    Neighbours share a group where there are more modules than groups.
    """
    modules: dict[str, list[str]] = {}
    for name, _ in head.named_parameters():
        modules.setdefault(name.split(".")[0], []).append(name)
    bare = [name for name in modules if modules[name] == [name]]
    ordered = [name for name in reversed(modules) if name not in bare] + bare[::-1]
    parts = [part.tolist() for part in np.array_split(np.array(ordered, dtype=object), min(GROUPS, len(ordered)))]
    titles = [part[0] if len(part) == 1 else f"{part[0]} … {part[-1]}" for part in parts]
    return [
        (title, [name for module in part for name in modules[module]])
        for title, part in zip(titles, parts, strict=True)
    ]


def shuffled(head: nn.Module, names: Sequence[str], seed: int) -> nn.Module:
    """A copy of a head with the values of each of these parameters in random order; activations keep their size.

    Running statistics of batch normalisation stay.
    """
    changed = copy.deepcopy(head)
    parameters = dict(changed.named_parameters())
    with torch.no_grad():
        for name in names:
            generator = torch.Generator().manual_seed(crc32(f"{seed} {name}".encode()))
            flat = parameters[name].flatten()
            parameters[name].copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(parameters[name]))
    return changed


def randomisation(
    explain: Callable[[nn.Module], np.ndarray],
    head: nn.Module,
    n_frames: int,
    scores_of: Callable[[nn.Module], Scores],
    controls: Controls,
) -> Rows:
    """The test of randomised parameters for one utterance.

    An explanation that stays alike when the head forgets what it learnt explains something else: the features, or the
    method. *Cascading* shuffles group after group from the output down, *independent* one group at a time; ``at``
    counts and names the groups. Maps are compared by the size of their rank correlation over the frames read, because
    shuffled parameters may turn the sign of all evidence. By chance is that of the map with itself after shifts.

    Some parameters hold nothing, and shuffled they leave the head as it was. So the heads are compared too, by what
    removing stretches does to the score of either; the *excess* is how much more alike the maps stay than the heads.
    The rise of complexity is (E(shuffled) - E) / E for the whole head, where E is `entropy`.

    `explain` gives the (frame,) explanation of the utterance by a head, and `scores_of` its scores by the frames that
    are replaced.

    References
    ----------
    J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.
    A. Hedström et al., "A fresh look at sanity checks for saliency maps", xAI 2024 (efficient MPRT: the rise of
    complexity, in place of a comparison of maps layer by layer).
    """
    n_read, seed = controls.n_read, controls.seed

    def explained(changed: nn.Module) -> np.ndarray:
        return explain(changed)[:n_read]

    def changes(changed: nn.Module) -> np.ndarray:
        return removals(scores_of(changed), n_frames, n_read, controls.generator()).changes

    original = explained(head)
    alike, head_alike = _likeness(original, controls), _likeness(changes(head), controls)
    rows, done, last = [], [], original
    for number, (title, names) in enumerate(groups(head), start=1):
        done, at = done + names, f"{number} {title}"
        heads = {"cascading": shuffled(head, done, seed)}
        heads["independent"] = heads["cascading"] if number == 1 else shuffled(head, names, seed)
        maps = {kind: explained(changed) for kind, changed in heads.items()}
        for kind, changed in heads.items():
            of_map = alike(f"randomised_{kind}", maps[kind], at)
            of_head = head_alike(f"randomised_head_{kind}", changes(changed), at)
            excess = of_map["value"] - of_head["value"]
            rows += [of_map, of_head, measured(f"randomised_excess_{kind}", excess, [0.0], at=at)]
        last = maps["cascading"]
    before = entropy(original)
    rise = (entropy(last) - before) / before if before > 0 else np.nan
    return [*rows, measured("complexity_rise", rise, [0.0], at="")]


def _likeness(original: np.ndarray, controls: Controls) -> Callable[[str, np.ndarray, str], dict[str, object]]:
    """How alike others are to `original`, in size, beside how alike it is to itself after shifts."""
    chance = np.abs(agreement(original, original, controls)[1])
    return lambda statistic, other, at: measured(statistic, abs(agreement(original, other, controls)[0]), chance, at=at)


def entropy(frames: np.ndarray) -> float:
    """Entropy of the histogram of (frame,) values between the smallest and the largest, in nats; 0 where all are equal.

    The published test has a hundred bins, for images; some hundred frames fill twenty.
    """
    counts, _ = np.histogram(frames, bins=BINS)
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum()) + 0.0


def max_sensitivity(explain: Callable[[Tensor], np.ndarray], features: Tensor, controls: Controls) -> dict[str, object]:
    """The largest change of a map, relative to its size, over small random changes of the features.

    Each of the `SAMPLES` changes moves each feature by up to `PERTURBED` standard deviations of its layer. By chance is
    how much the map changes when it is shifted in time.

    References
    ----------
    C.-K. Yeh et al., "On the (in)fidelity and sensitivity of explanations", NeurIPS 2019, definition 3.1.
    """
    from captum.metrics import sensitivity_max

    spread = features.std(dim=(2, 3), keepdim=True)  # (1, layer, 1, 1)
    generator = torch.Generator().manual_seed(controls.seed)

    def perturb(given: Tensor) -> Tensor:
        return given + PERTURBED * spread * (2 * torch.rand(given.shape, generator=generator).to(given) - 1)

    def explained(given: Tensor | tuple[Tensor]) -> tuple[Tensor]:
        # captum passes a tuple first and tensors then, and takes the rows of a bare tensor for separate inputs.
        given = given[0] if isinstance(given, tuple) else given
        with torch.enable_grad():
            maps = [torch.from_numpy(np.asarray(explain(row[None]), dtype=np.float64)) for row in given]
        return (torch.stack(maps),)

    value = sensitivity_max(explained, features, perturb, n_perturb_samples=SAMPLES, max_examples_per_batch=1)
    frames = explain(features)[: controls.n_read]
    moved, size = rolled(frames, shifts(len(frames), controls.draws, controls.generator())), np.linalg.norm(frames)
    changed = np.linalg.norm(moved - frames, axis=1) / size if size > 0 else np.full(controls.draws, np.nan)
    return measured("max_sensitivity", float(value.item()), changed, at="")


def shifted(statistic: str, explain_without: Callable[[int], np.ndarray], controls: Controls) -> Rows:
    """Whether the evidence of frames moves with them: the map of all frames, and that without the first k.

    `explain_without` leaves out the first k frames of the features (``shift_features``) or hops of the recording
    (``shift_waveform``). Pearson's correlation is over the frames that are read both times; a shift that leaves fewer
    than 2 k has no row. With the same features, what differs is the head: a pooling of three frames moves with every
    third only, and weights for each place do not move at all. In a shorter recording the frames of the transformer
    differ too, since each attends to all others: a low correlation there alone comes from the encoder.
    """
    whole, rows = explain_without(0), []
    for k in SHIFTS_FRAMES:
        shared = min(controls.n_read, len(whole)) - k
        if shared >= 2 * k and shared > 2:
            without = explain_without(k)[:shared]
            rows.append(_alike(statistic, whole[k : k + shared], without, f"{k} frames", controls, ranks=False))
    return rows


def steps(explain: Callable[[int], np.ndarray], controls: Controls) -> Rows:
    """How alike the (frame,) map from few path points is to that from many, a row a number of points."""
    maps = {n: explain(n)[: controls.n_read] for n in (*STEPS, MANY_STEPS)}
    return [_alike("steps", maps[n], maps[MANY_STEPS], f"{n} of {MANY_STEPS}", controls) for n in STEPS]


def seeds(maps: Mapping[int, np.ndarray], controls: Controls) -> Rows:
    """How alike the (frame,) maps of detectors are that differ in their training seed only, a row a pair of seeds.

    The detectors differ too, so what is not alike may be what they learnt.
    """
    read = {seed: frames[: controls.n_read] for seed, frames in maps.items()}
    return [_alike("seeds", read[a], read[b], f"{a} and {b}", controls) for a, b in combinations(sorted(read), 2)]
