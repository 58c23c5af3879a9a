"""How sure a figure of the annotations is: rounds that draw speakers, intervals from them, and verdicts."""

from collections.abc import Mapping, Sequence

import numpy as np

from sslig.stats.intervals import Clusters

ROUNDS, LEVEL, SEED = 50_000, 0.95, 0
ERRORS = 3
"""Standard errors from the draws within which an end of an interval is not known."""

VERDICTS = ("supported", "contradicted", "open", "on the edge")

DECIMALS = 6


def drawn(speakers: Sequence[str], seed: int = SEED) -> np.ndarray:
    """(round, utterance) How often each utterance counts, first once each, then with speakers drawn with replacement.

    The draws are those of `sslig.stats.intervals.bootstrap`, all at once; floats, so that sums over them are matrix products.
    """
    clusters, generator = Clusters.of(speakers, None), np.random.default_rng(seed)
    n = len(clusters.size)
    cells = generator.integers(n, size=(ROUNDS, n)) + n * np.arange(ROUNDS)[:, None]
    counts = np.bincount(cells.ravel(), minlength=ROUNDS * n).reshape(ROUNDS, n)
    return np.vstack([np.ones(n), counts])[:, clusters.of_trial]


def mean(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(round,) The mean of the values that are there; NaN in a round that drew none of them."""
    there = ~np.isnan(values)
    return _ratio(draws @ np.where(there, values, 0), draws @ there.astype(float))


def mean_of_pairs(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(round,) The mean of (row, column) values over pairs of different utterances, each as often as it is drawn."""
    same = draws**2  # an utterance drawn twice is no pair of different ones
    total = ((draws @ values) * draws).sum(axis=1) - same @ np.diag(values)
    return _ratio(total, draws.sum(axis=1) ** 2 - same.sum(axis=1))


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def interval(rounds: np.ndarray) -> dict[str, float | None]:
    """``value``, ``low`` and ``high`` of (round,) figures, the first of which is that of all utterances.

    The ends are none where no round differs, as of a cue that nobody named: that says nothing of how sure it is.
    """
    low, high = np.nanquantile(rounds[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    constant = np.nanmin(rounds) == np.nanmax(rounds)
    ends = {"low": None, "high": None} if constant else {"low": rounded(low), "high": rounded(high)}
    return {"value": rounded(rounds[0]), **ends}


def difference(rounds: np.ndarray) -> dict[str, object]:
    """`interval` of a difference, and ``low_within`` and ``high_within``: where each end lies, given the draws.

    How many of n rounds are below a quantile q is binomial, so an end lies between the quantiles
    q -/+ `ERRORS` sqrt(q (1 - q) / n) of the rounds. They are none where the ends are.
    """
    found, n = interval(rounds), np.count_nonzero(~np.isnan(rounds[1:]))
    for end, q in (("low", (1 - LEVEL) / 2), ("high", (1 + LEVEL) / 2)):
        error = ERRORS * np.sqrt(q * (1 - q) / n)
        around = np.nanquantile(rounds[1:], np.clip([q - error, q + error], 0, 1))
        found[f"{end}_within"] = None if found[end] is None else [rounded(value) for value in around]
    return found


def near_zero(found: Mapping, end: str) -> bool:
    """Whether 0 is among what an end of a `difference`, ``low`` or ``high``, can be given the draws."""
    within = found.get(f"{end}_within")
    return within is not None and within[0] <= 0 <= within[1]


def verdict(differences: Mapping[str, Mapping]) -> str:
    """One of `VERDICTS` from each `difference` to the other detectors.

    ``supported`` where all intervals are above 0, ``contradicted`` where one is below 0, else ``open``; ``on the edge``
    where it depends on the side of 0 on which the ends lie that are `near_zero`.
    """
    least, most = (_verdict([[_end(found, end, side) for end in ("low", "high")] for found in differences.values()])
                   for side in (-1, 1))  # fmt: skip
    return least if least == most else "on the edge"


def _verdict(intervals: list[list[float]]) -> str:
    if any(high < 0 for _, high in intervals):
        return "contradicted"
    return "supported" if all(low > 0 for low, _ in intervals) else "open"


def _end(found: Mapping, end: str, side: int) -> float:
    """An end, the value where no round differs, or `side` of 0 where the end may lie on both."""
    if near_zero(found, end):
        return side
    return found["value"] if found[end] is None else found[end]


def rounded(value: float) -> float:
    """The value with as many decimals as the summary stores."""
    return round(float(value), DECIMALS)
