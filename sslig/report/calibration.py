"""What calibration and fusion, both fitted on *dev*, are worth on *eval*."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit

from sslig import stages
from sslig.report.agreement import of_one_seed
from sslig.report.display import listed
from sslig.report.evaluation import described, shared
from sslig.report.resampled import HEADINGS, difference, interval_text, over_seeds, spread
from sslig.stages import RATIO
from sslig.stats.fusion import LogisticMap
from sslig.stats.metrics import METRICS
from sslig.study import Evaluation, Study

FUSION = "fusion"
"""What the fusion of all detectors is called among them."""

AT_THEIR_WORD = ("act_dcf", "cllr")
"""Metrics that take scores as log-likelihood ratios, the only ones that a rising map changes."""

BINS = 8
COLUMNS = ["utterance", "key", "attack", "codec", "speaker", RATIO]

Maps = Mapping[tuple[str, int], LogisticMap]
"""Detector (or `FUSION`) and seed -> its map."""


def ratios_of(study: Study, detectors: list[str], seeds: list[int]) -> tuple[pd.DataFrame, Maps]:
    """Log-likelihood ratios on *eval* of each detector and, of several, of their fusion; and the maps that gave them.

    Returns
    -------
    table : DataFrame
        As of `sslig.report.evaluation.scores_of`, with ``spoof_llr``; of the fusion ``spoof_score`` is its ratio.
    maps : mapping
        Detector or `FUSION`, and seed -> map.
    """
    parts, maps = [], {}
    for name, seed in product(detectors, seeds):
        found, maps[name, seed] = stages.calibrated(study, name, seed)
        parts.append(found[[*COLUMNS, "spoof_score"]].assign(detector=name, seed=seed))
    for seed in seeds if len(detectors) > 1 else []:
        found, maps[FUSION, seed] = stages.fused(study, detectors, seed)
        parts.append(found[COLUMNS].assign(spoof_score=found[RATIO], detector=FUSION, seed=seed))
    return described(study, shared(pd.concat(parts, ignore_index=True))), maps


def single(ratios: pd.DataFrame) -> pd.DataFrame:
    """The detectors without their fusion."""
    return ratios[ratios["detector"] != FUSION]


def before_and_after(ratios: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """actDCF and Cllr of each detector's scores, of its calibrated scores, and the paired change.

    Returns
    -------
    DataFrame
        ``detector``, ``metric``, ``state`` (``before``, ``after`` or ``change``), ``value``, ``low`` and ``high``.
    """
    raw, calibrated = (dict.fromkeys(AT_THEIR_WORD, column) for column in ("spoof_score", RATIO))
    parts = [
        over_seeds(single(ratios), columns, options, seed=seed).assign(state=state)
        for state, columns in (("before", raw), ("after", calibrated))
    ]
    for name, part in single(ratios).groupby("detector", sort=False):
        change = difference(part, part, calibrated, options, seed=seed, second_columns=raw)
        parts.append(change.assign(detector=name, state="change"))
    return pd.concat(parts, ignore_index=True)


def before_and_after_wide(table: pd.DataFrame) -> pd.DataFrame:
    """A `before_and_after` as people read it: a row a detector and metric, a column a state."""
    states = ["before", "after", "change"]
    text = [interval_text(row, signed=row["state"] == "change") for row in table.to_dict("records")]
    shown = table.assign(text=text, metric=table["metric"].map(HEADINGS))
    wide = shown.pivot(index=["detector", "metric"], columns="state", values="text")[states]
    order = shown[["detector", "metric"]].drop_duplicates()
    return wide.loc[list(order.itertuples(index=False, name=None))].rename_axis(columns=None).reset_index()


def calibration_note(table: pd.DataFrame, maps: Maps) -> str:
    """The maps of the detectors, what they changed for certain, and which of them turn the scores around."""
    single_maps = {which: found for which, found in maps.items() if which[0] != FUSION}
    said = [
        f"{_named(which, maps)} {found.weights[0]:.2f} s {found.offset:+.2f}" for which, found in single_maps.items()
    ]
    text = f"Fitted on *dev*, with s the spoof score: {listed(said)}."
    change = table[table["state"] == "change"]
    for word, certain in (("lowers", change["high"] < 0), ("raises", change["low"] > 0)):
        named = [f"{HEADINGS[row.metric].split()[0]} of {row.detector}" for row in change[certain].itertuples()]
        text += f" Beyond doubt, calibration {word} the {listed(named)}." if named else ""
    turned = [_named(which, maps) for which, found in single_maps.items() if found.weights[0] <= 0]
    if turned:
        text += f" **The slope of {listed(turned)} is not positive**: on *dev* a higher score spoke for bona fide."
    return text


def reliability(ratios: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """What calibrated scores claim and what is so, in bins of as many trials each, at equal weight of both classes.

    Of trials whose log-likelihood ratio is L, a share 1 / (1 + e^-L) is spoof where the ratio holds. Of several seeds
    the first is shown.

    Returns
    -------
    DataFrame
        ``detector``, ``claimed`` (mean of that share over the trials of a bin, classes weighing the same),
        ``observed`` (share of spoofs), ``low``, ``high`` and ``n`` (trials).
    """
    parts = []
    for name, part in of_one_seed(ratios).groupby("detector", sort=False):
        edges = np.unique(np.quantile(part[RATIO], np.linspace(0, 1, BINS + 1)[1:-1]))
        bins = np.searchsorted(edges, part[RATIO], side="right")
        is_spoof = (part["key"] == "spoof").to_numpy()
        found = spread(_Shares(bins, is_spoof), part, options, seed)
        balanced = 1 / np.where(is_spoof, is_spoof.sum(), (~is_spoof).sum())  # (trial,)
        weight = np.bincount(bins, balanced)
        claimed = np.divide(np.bincount(bins, balanced * expit(part[RATIO])), weight, where=weight > 0,
                            out=np.full(len(weight), np.nan))  # fmt: skip
        parts.append(pd.DataFrame({"detector": name, "claimed": claimed, "observed": found.value, "low": found.low,
                                   "high": found.high, "n": np.bincount(bins)}))  # fmt: skip
    return pd.concat(parts, ignore_index=True).dropna(subset="observed")


def reliability_note(table: pd.DataFrame) -> str:
    """In how many bins the claim lies in the interval of what was observed, and the largest distance outside."""
    inside = table["claimed"].between(table["low"], table["high"])
    text = f"In {inside.sum()} of {len(table)} bins the claim lies in the 95 % interval of what was observed"
    if inside.all():
        return f"{text}."
    worst = table[~inside].assign(gap=(table["observed"] - table["claimed"]).abs()).sort_values("gap").iloc[-1]
    return (f"{text}; farthest outside, {worst['detector']} claims {100 * worst['claimed']:.0f} % spoof where "
            f"{100 * worst['observed']:.0f} % [{100 * worst['low']:.0f}, {100 * worst['high']:.0f}] are.")  # fmt: skip


def fusion_table(ratios: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """All metrics of the calibrated detectors and of their fusion, and fusion less each detector.

    Returns
    -------
    DataFrame
        ``detector``, ``metric``, ``state`` (``value`` or ``difference``), ``value``, ``low``, ``high`` and ``sd``; no
        difference of one detector, which has no fusion.
    """
    columns = dict.fromkeys(METRICS, RATIO)
    fusion, parts = ratios[ratios["detector"] == FUSION], [over_seeds(ratios, columns, options, seed=seed)]
    for name, part in single(ratios).groupby("detector", sort=False) if len(fusion) else ():
        apart = difference(fusion, part, columns, options, seed=seed)
        parts.append(apart.assign(detector=f"{FUSION} - {name}", state="difference"))
    parts[0]["state"] = "value"
    return pd.concat(parts, ignore_index=True)


def fusion_wide(table: pd.DataFrame) -> pd.DataFrame:
    """A `fusion_table` as people read it: values, then differences; a column a metric."""
    text = [interval_text(row, row["metric"], signed=row["state"] == "difference") for row in table.to_dict("records")]
    shown = table.assign(text=text).pivot(index=["state", "detector"], columns="metric", values="text")[list(METRICS)]
    order = table[["state", "detector"]].drop_duplicates().sort_values("state", ascending=False, kind="stable")
    shown = shown.loc[list(order.itertuples(index=False, name=None))].droplevel("state")
    return shown.rename(columns=HEADINGS).rename_axis(columns=None).reset_index()


def fusion_note(table: pd.DataFrame, maps: Maps) -> str:
    """How the fusion was fitted, its weights, and whether it beats each detector in EER and Cllr beyond doubt."""
    fused = {which: found for which, found in maps.items() if which[0] == FUSION}
    if not fused:
        return "One detector: there is nothing to fuse."
    text = " ".join(_fitted(which, found, maps) for which, found in fused.items())
    for metric in ("eer", "cllr"):
        rows = table[(table["state"] == "difference") & (table["metric"] == metric)]
        lower, higher = ([_detector(row) for row in rows[certain].itertuples()]
                         for certain in (rows["high"] < 0, rows["low"] > 0))  # fmt: skip
        open_ = [name for row in rows.itertuples() if (name := _detector(row)) not in lower + higher]
        said = [f"{word} {listed(names)}" for word, names in
                (("lower than of", lower), ("higher than of", higher), ("not certainly different from", open_))
                if names]  # fmt: skip
        text += f" Its {HEADINGS[metric].split()[0]} is {listed(said)}."
    return text


def verdict(table: pd.DataFrame) -> str:
    """A sentence for the page's answer: the EER of the fusion beside that of the best detector; none without fusion."""
    if FUSION not in set(table["detector"]):
        return ""
    eers = table[(table["state"] == "value") & (table["metric"] == "eer")].set_index("detector")
    best = eers.drop(FUSION)["value"].idxmin()
    (apart,) = table[(table["detector"] == f"{FUSION} - {best}") & (table["metric"] == "eer")].itertuples()
    fusion, alone = (100 * eers.loc[name, "value"] for name in (FUSION, best))
    if fusion == alone:
        return f"Fused, they reach {fusion:.0f} %, as {best} does alone."
    certain = ("beyond doubt" if apart.low > 0 or apart.high < 0 else "which the interval of the difference, "
               f"[{100 * apart.low:+.0f}, {100 * apart.high:+.0f}] points, does not settle")  # fmt: skip
    word = "lower" if fusion < alone else "higher"
    return f"Fused, they reach {fusion:.0f} %, {word} than {best} alone ({alone:.0f} %), {certain}."


def _fitted(which: tuple[str, int], found: LogisticMap, maps: Maps) -> str:
    terms = [f"{weight:+.2f} {name}" for name, weight in zip(found.detectors, found.weights, strict=True)]
    folds = ("in folds that share no speaker" if found.disjoint_in == "speakers" else
             "in folds that share no recording, since *dev* has too few speakers to hold any out: how the fusion "
             "carries over to other speakers was not tried there")  # fmt: skip
    seed = "" if len({seed for _, seed in maps}) == 1 else f" of seed {which[1]}"
    return (f"The fusion{seed} is {' '.join(terms).removeprefix('+')} {found.offset:+.2f}; the strength of the penalty "
            f"on its weights ({found.strength:g}) was chosen on *dev* {folds}.")  # fmt: skip


def _named(which: tuple[str, int], maps: Maps) -> str:
    name, seed = which
    return name if len({other for _, other in maps}) == 1 else f"{name} (seed {seed})"


def _detector(row) -> str:
    return row.detector.removeprefix(f"{FUSION} - ")


class _Shares:
    """(bin,) Share of spoofs where both classes weigh the same, as a function of how often each trial counts."""

    def __init__(self, bins: np.ndarray, is_spoof: np.ndarray) -> None:
        self.cell, self.n_bins = 2 * bins + is_spoof, int(bins.max()) + 1

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        counts = np.bincount(self.cell, weights, minlength=2 * self.n_bins).reshape(-1, 2)  # (bin, class)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = counts / counts.sum(axis=0)
            return rates[:, 1] / rates.sum(axis=1)
