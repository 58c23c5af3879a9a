"""How good detectors are: metrics with intervals, groups, errors, and scores that do not depend on their company."""

import dataclasses
from itertools import product

import numpy as np
import pandas as pd

from sslig import intervals, metrics, protocol, scoring, stages
from sslig.experiment import Evaluation, Experiment
from sslig.labels import KEYS
from sslig.metrics import METRICS
from sslig.models.detector import Detector, select_device
from sslig.protocol import NONE
from sslig.report.display import listed, span
from sslig.selection import draw

BATCH_SIZES = (1, 4, 16)
FEW_SPEAKERS = 20


def scores_of(
    study: Experiment, detectors: list[str], seeds: list[int], set_name: str = "eval"
) -> pd.DataFrame:  # fmt: skip
    """The scores of several detectors and seeds under each other, with ``detector`` and ``recording``."""
    parts = [
        stages.set_scores(study, detector, seed, set_name).assign(detector=detector)
        for detector, seed in product(detectors, seeds)
    ]
    return pd.concat([protocol.with_recordings(study.corpus_root, part) for part in parts], ignore_index=True)


def metric_table(scores: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """All metrics with their intervals: a row for each detector, seed and metric, ``value``, ``low`` and ``high``."""
    rows = []
    for (detector, trained), part in scores.groupby(["detector", "seed"], sort=False):
        found = intervals.bootstrap(
            part["spoof_score"], part["key"].map(KEYS), part["speaker"], METRICS, seed=seed, rounds=options.rounds,
            recordings=part["recording"] if options.resample_recordings else None,
        )  # fmt: skip
        for name, interval in found.items():
            rows.append({"detector": detector, "seed": trained, "metric": name, "value": interval.value,
                         "low": interval.low, "high": interval.high, "n_speakers": interval.n_speakers})  # fmt: skip
    return pd.DataFrame(rows)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """A `metric_table` as people read it: a row a detector and seed, ``value [low, high]`` in a column a metric."""
    percent = table["metric"] == "eer"
    scaled = table.assign(**{name: table[name].where(~percent, 100 * table[name]) for name in ("value", "low", "high")})
    text = [
        f"{row.value:.1f} % [{row.low:.1f}, {row.high:.1f}]" if row.metric == "eer"
        else f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
        for row in scaled.itertuples()
    ]  # fmt: skip
    shown = scaled.assign(text=text).pivot(index=["detector", "seed"], columns="metric", values="text")
    names = {"eer": "EER", "min_dcf": "minDCF", "act_dcf": "actDCF", "cllr": "Cllr (bits)"}
    return shown[list(METRICS)].rename(columns=names).rename_axis(columns=None).reset_index()


def group_table(scores: pd.DataFrame, column: str, options: Evaluation, seed: int) -> pd.DataFrame:
    """EER with interval of each detector in each group of a column: ``detector``, ``group``, ``eer``, ``low`` ..."""
    parts = []
    for detector, part in by_detector(scores).items():
        found = intervals.by_group(
            part, column, "eer", seed=seed, rounds=options.rounds,
            recordings="recording" if options.resample_recordings else None,
        )  # fmt: skip
        parts.append(found.assign(detector=detector))
    return pd.concat(parts, ignore_index=True).rename(columns={column: "group", "n_spoof": "n"})


def det_curves(scores: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The points of the DET curve of each detector, its seeds pooled one beside the other."""
    return {name: metrics.det_points(*by_class(part)) for name, part in by_detector(scores).items()}


def eers(scores: pd.DataFrame) -> dict[str, float]:
    """The EER of each detector, as its DET curve shows it."""
    return {name: metrics.eer(*by_class(part)) for name, part in by_detector(scores).items()}


def by_detector(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The scores of each detector; where there are several seeds, each is one of its own."""
    several = scores["seed"].nunique() > 1
    groups = scores.groupby(["detector", "seed"], sort=False)
    return {f"{name} seed {seed}" if several else name: part for (name, seed), part in groups}


def by_class(scores: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(trial,) twice: the spoof scores of the bona fide and of the spoofs."""
    return tuple(scores.loc[scores["key"] == key, "spoof_score"].to_numpy() for key in KEYS)


def worst_errors(scores: pd.DataFrame, n: int) -> pd.DataFrame:
    """The `n` bona fide with the highest and the `n` spoofs with the lowest scores, on average over detectors.

    Scores of different detectors have different scales, so ranks are averaged; ``mean_rank`` is 1 for what all
    detectors find most spoof-like.
    """
    ranks = scores.assign(rank=scores.groupby(["detector", "seed"])["spoof_score"].rank(pct=True))
    mean = ranks.groupby(["utterance", "key", "attack", "codec"], as_index=False)["rank"].mean()
    mean = mean.rename(columns={"rank": "mean_rank"}).sort_values("mean_rank")
    alarms, misses = mean[mean["key"] == "bonafide"].tail(n)[::-1], mean[mean["key"] == "spoof"].head(n)
    return pd.concat([alarms, misses], ignore_index=True)


def company(study: Experiment, detectors: list[str], seed: int, n: int) -> pd.DataFrame:
    """The largest change of a score over batch sizes and a shuffled order, for `n` utterances of *eval*."""
    table = draw(protocol.load_set(study.corpus_root, "eval"), n, study.corpus.seed)
    device = select_device(study.device)
    rows = []
    for name in detectors:
        model = Detector.from_pretrained(stages.checkpoint(study, name, seed))
        found = {}
        for size, shuffled in product(BATCH_SIZES, (False, True)):
            order = np.random.default_rng(size).permutation(len(table)) if shuffled else np.arange(len(table))
            options = dataclasses.replace(study.scoring, batch_size=size, precision="32-true")
            scored, _ = scoring.score(model, table.iloc[order].reset_index(drop=True), options, device)
            found[size, shuffled] = scored.set_index("utterance")["spoof_score"]
        scores = pd.DataFrame(found)
        change = (scores.max(axis=1) - scores.min(axis=1)).max()
        rows.append({
            "detector": name, "utterances": len(table), "batch sizes": listed([str(size) for size in BATCH_SIZES]),
            "largest change (logit)": f"{change:.1e}", "spread of scores (logit)": scores.to_numpy().std(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def answer(figures: pd.DataFrame) -> str:
    """The page's answer: the range of EERs, and which detector is best."""
    found = figures[figures["metric"] == "eer"].sort_values("value")
    several = found["seed"].nunique() > 1
    said = [
        f"{row.detector}{f' (seed {row.seed})' if several else ''} with {100 * row.value:.0f} % "
        f"[{100 * row.low:.0f}, {100 * row.high:.0f}]"
        for row in found.itertuples()
    ]
    if len(said) == 1:
        return f"**Answer.** The EER on *eval*: {said[0]}."
    low, high = 100 * found["value"].iloc[0], 100 * found["value"].iloc[-1]
    return f"**Answer.** On *eval* the EERs are {span(low, high)}: lowest {said[0]}, highest {said[-1]}."


def left_out_note(study: Experiment, detectors: list[str], seeds: list[int], name: str) -> str:
    """How many utterances could not be read, and why the first one could not; `name` as in ``left_out_<name>.tsv``."""
    parts = [study.run(detector, seed) / f"left_out_{name}.tsv" for detector, seed in product(detectors, seeds)]
    left_out = pd.concat([pd.read_csv(path, sep="\t", dtype=str) for path in parts]).drop_duplicates("utterance")
    if left_out.empty:
        return "No utterance was left out."
    first = left_out.iloc[0]
    return f"**{len(left_out)} utterances were left out**; the first, {first['utterance']}: {first['reason']}."


def interval_note(figures: pd.DataFrame, options: Evaluation) -> str:
    """What the intervals rest on, and how far to trust them."""
    n_speakers = int(figures["n_speakers"].max())
    what = "speakers, and within each drawn speaker recordings," if options.resample_recordings else "speakers"
    few = (
        f" With {n_speakers} speakers they say little about other speakers: read them as the uncertainty over "
        "recordings, and expect the true ones to be wider." if n_speakers < FEW_SPEAKERS else ""
    )  # fmt: skip
    return (
        f"In brackets are 95 % intervals: {options.rounds:,} bootstrap rounds that resample {what} since the trials of "
        f"one speaker, and the versions of one recording, are not independent.{few}"
    )


def attack_note(study: Experiment, by_attack: pd.DataFrame) -> str:
    """Which attacks training never saw, and which are hardest."""
    seen = set(protocol.load_set(study.corpus_root, "train")["attack"]) - {NONE}
    mean = by_attack.groupby("group")["eer"].mean().sort_values()
    new = sorted(set(mean.index) - seen)
    known = [name for name in sorted(mean.index) if name in seen]
    text = (
        f"{listed(new)} {'stand' if len(new) > 1 else 'stands'} in no training utterance"
        if new
        else "All attacks stand in training too"
    )
    text += f"; {listed(known)} {'do' if len(known) > 1 else 'does'}." if new and known else "."
    return f"{text} Averaged over detectors, {mean.index[-1]} is the hardest attack and {mean.index[0]} the easiest."


def paths(study: Experiment) -> dict[str, str]:
    """Utterance -> file, of *eval*."""
    return protocol.load_set(study.corpus_root, "eval").set_index("utterance")["path"].to_dict()


def labelled(errors: pd.DataFrame, files: dict[str, str]) -> dict[str, list[str]]:
    """Label -> file of the utterances of `worst_errors`."""
    return {
        f"{row.utterance}: {'bona fide' if row.key == 'bonafide' else f'spoof, {row.attack}'}"
        f"{'' if row.codec == NONE else f', {row.codec}'}, rank {100 * row.mean_rank:.0f} %": [
            files[row.utterance]
        ]
        for row in errors.itertuples()
    }
