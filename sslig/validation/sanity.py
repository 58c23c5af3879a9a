"""Sanity: whether an explanation knows the parameters of a detector, and stays what it is where nothing changed."""

import copy
import re
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

GROUPS = 6
BINS = 20
SHIFTS_FRAMES = (1, 3, 10)
STEPS = (16, 32, 64)
MANY_STEPS = 128
PERTURBED, SAMPLES = 0.02, 3
"""Size of small changes of features, relative to the standard deviation of their layer, and their number."""
NOISE, SMOOTH = 0.1, 8
"""Standard deviation of the noise over that of the input, and the noisy inputs whose maps are averaged."""


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


def backward_order(model: nn.Module, x: Tensor) -> list[str]:
    """The parameters of a model from its output to its input, as gradients of its output reach them.

    What the output does not depend on is left out.
    """
    traced, order = copy.deepcopy(model).requires_grad_(True), []
    for name, parameter in traced.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))
    with torch.enable_grad():
        traced(x).sum().backward()
    return order


def groups(order: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The parameters in `order`, from output to input, in up to `GROUPS` groups, each with a title.

    Modules of a head, layers of a transformer and the other parts of an encoder stay whole; neighbours share a group
    where there are more of them than groups.
    """
    units: dict[str, list[str]] = {}
    for name in order:
        units.setdefault(_unit(name), []).append(name)
    parts = [part.tolist() for part in np.array_split(np.array(list(units), dtype=object), min(GROUPS, len(units)))]
    titles = [part[0] if len(part) == 1 else f"{part[0]} … {part[-1]}" for part in parts]
    return [(title, [name for unit in part for name in units[unit]]) for title, part in zip(titles, parts, strict=True)]


def _unit(name: str) -> str:
    """What a parameter is part of: ``head.fc0``, ``encoder.layers.3``, ``feature_extractor``; a bare one is itself."""
    if layer := re.search(r"encoder\.layers\.\d+", name):
        return layer[0]
    path = name.removeprefix("backbone.model.").split(".")
    return ".".join(path[:2]) if path[0] == "head" else path[0]


def shuffled(model: nn.Module, names: Sequence[str], seed: int) -> nn.Module:
    """A copy of a model with the values of each of these parameters in random order; activations keep their size.

    Running statistics of batch normalisation stay.
    """
    changed = copy.deepcopy(model)
    parameters = dict(changed.named_parameters())
    with torch.no_grad():
        for name in names:
            generator = torch.Generator().manual_seed(crc32(f"{seed} {name}".encode()))
            flat = parameters[name].flatten()
            parameters[name].copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(parameters[name]))
    return changed


def randomisation(
    explain: Callable[[nn.Module], np.ndarray],
    model: nn.Module,
    order: Sequence[str],
    n_frames: int,
    scores_of: Callable[[nn.Module], Scores],
    controls: Controls,
) -> Rows:
    """The test of randomised parameters for one utterance.

    An explanation that stays alike when the detector forgets what it learnt explains something else: the recording, or
    the method. *Cascading* shuffles group after group from the output down, *independent* one group at a time; ``at``
    counts and names the groups. Maps are compared by the size of their rank correlation over the frames read, because
    shuffled parameters may turn the sign of all evidence. By chance is that of the map with itself after shifts.

    Some parameters hold nothing, and shuffled they leave the detector as it was. So the detectors are compared too, by
    what removing stretches does to the score of either; the *excess* is how much more alike the maps stay than they.
    The rise of complexity is (E(shuffled) - E) / E for the whole detector, where E is `entropy`; by chance is the rise
    to random explanations (white noise), which a method that knows the detector should come near.

    `explain` gives the (frame,) explanation of the utterance by a model, `order` its parameters from output to input
    (`backward_order`), and `scores_of` its scores by the frames that are replaced.

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

    original = explained(model)
    alike, model_alike = _likeness(original, controls), _likeness(changes(model), controls)
    rows, done, last = [], [], original
    for number, (title, names) in enumerate(groups(order), start=1):
        done, at = done + names, f"{number} {title}"
        models = {"cascading": shuffled(model, done, seed)}
        models["independent"] = models["cascading"] if number == 1 else shuffled(model, names, seed)
        maps = {kind: explained(changed) for kind, changed in models.items()}
        for kind, changed in models.items():
            of_map = alike(f"randomised_{kind}", maps[kind], at)
            of_model = model_alike(f"randomised_detector_{kind}", changes(changed), at)
            excess = of_map["value"] - of_model["value"]
            rows += [of_map, of_model, measured(f"randomised_excess_{kind}", excess, [0.0], at=at)]
        last = maps["cascading"]
    return [*rows, _complexity_rise(original, last, controls)]


def _complexity_rise(original: np.ndarray, randomised: np.ndarray, controls: Controls) -> dict[str, object]:
    """The rise of `entropy`, beside that of white noise of the same size."""
    before, generator = entropy(original), controls.generator()
    noise = generator.standard_normal((controls.draws, len(original)))
    rises = [(entropy(frames) - before) / before if before > 0 else np.nan for frames in (randomised, *noise)]
    return measured("complexity_rise", rises[0], rises[1:], at="")


def smooth_randomisation(
    explain: Callable[[nn.Module, torch.Generator], np.ndarray],
    model: nn.Module,
    order: Sequence[str],
    controls: Controls,
) -> dict[str, object]:
    """How alike a denoised map stays when all parameters are shuffled, beside how alike random maps are to it.

    Gradients of shuffled networks are noise, which lowers their likeness to the original map for no merit of a method.
    So maps of `SMOOTH` inputs with Gaussian noise are averaged on either side, and the reference is how alike averages
    of as many random maps (white noise) are to the original.

    `explain` gives the (frame,) explanation of the utterance by a model after noise from a generator.

    References
    ----------
    A. Hedström et al., "A fresh look at sanity checks for saliency maps", xAI 2024 (smooth MPRT).
    """
    maps = []
    for changed in (model, shuffled(model, order, controls.seed)):
        generator = torch.Generator().manual_seed(controls.seed)
        maps.append(np.mean([explain(changed, generator)[: controls.n_read] for _ in range(SMOOTH)], axis=0))
    noise = controls.generator().standard_normal((controls.draws, SMOOTH, len(maps[0]))).mean(axis=1)
    values = [abs(agreement(maps[0], other, controls)[0]) for other in (maps[1], *noise)]
    return measured("smooth_randomised", values[0], values[1:], at="")


def noisy(x: Tensor, generator: torch.Generator) -> Tensor:
    """`x` with Gaussian noise of `NOISE` times its standard deviation."""
    return x + NOISE * x.std() * torch.randn(x.shape, generator=generator).to(x)


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
