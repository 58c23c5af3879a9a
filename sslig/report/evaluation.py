"""How good detectors are: metrics with intervals, groups, errors, and scores that do not depend on their company."""

import dataclasses
from itertools import product

import numpy as np
import pandas as pd

from sslig import scoring, stages
from sslig.corpora import protocol
from sslig.corpora.protocol import NONE
from sslig.labels import KEYS
from sslig.models.detector import Detector, select_device
from sslig.report.display import listed, span
from sslig.report.resampled import HEADINGS, SCORE_COLUMNS, interval_text, over_seeds
from sslig.corpora.sample import draw
from sslig.stats import intervals, metrics, operating_points
from sslig.stats.metrics import METRICS
from sslig.study import Evaluation, Study

BATCH_SIZES = (1, 4, 16)
FEW_SPEAKERS, FEW_ERRORS = 20, 10
CURVE_POINTS = 1000
"""Thresholds at which the rates of a detector are drawn."""


def scores_of(
    study: Study, detectors: list[str], seeds: list[int], set_name: str = "eval"
) -> pd.DataFrame:  # fmt: skip
    """The scores of several detectors and seeds under each other, with ``detector``, ``recording`` and ``gender``."""
    parts = [
        stages.set_scores(study, detector, seed, set_name).assign(detector=detector)
        for detector, seed in product(detectors, seeds)
    ]
    return described(study, shared(pd.concat(parts, ignore_index=True)), set_name)


def shared(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of utterances that every detector and seed scored: what is compared is compared on the same trials."""
    n_runs = len(scores[["detector", "seed"]].drop_duplicates())
    return scores[scores.groupby("utterance")["utterance"].transform("size") == n_runs].reset_index(drop=True)


def described(study: Study, scores: pd.DataFrame, set_name: str = "eval") -> pd.DataFrame:
    """`scores` of a set with the ``recording`` and the ``gender`` that the corpus tells of each utterance."""
    about = protocol.load_set(study.corpus_root, set_name)[["utterance", "gender"]]
    about = protocol.with_recordings(study.corpus_root, about).set_index("utterance").loc[scores["utterance"]]
    return scores.assign(recording=about["recording"].to_numpy(), gender=about["gender"].to_numpy())


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
    text = [interval_text(row, row["metric"]) for row in table.to_dict("records")]
    shown = table.assign(text=text).pivot(index=["detector", "seed"], columns="metric", values="text")
    return shown[list(METRICS)].rename(columns=HEADINGS).rename_axis(columns=None).reset_index()


def seed_table(scores: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """Mean ± standard deviation over seeds of all metrics of each detector, with the interval of the mean, as text."""
    found = over_seeds(scores, SCORE_COLUMNS, options, seed=seed)
    text = [interval_text(row, row["metric"]) for row in found.to_dict("records")]
    shown = found.assign(text=text, seeds=scores["seed"].nunique())
    shown = shown.pivot(index=["detector", "seeds"], columns="metric", values="text")
    return shown[list(METRICS)].rename(columns=HEADINGS).rename_axis(columns=None).reset_index()


def group_table(scores: pd.DataFrame, column: str, options: Evaluation, seed: int) -> pd.DataFrame:
    """EER with interval of each detector in each group of a column: ``detector``, ``group``, ``eer``, ``low`` ...

    Of several seeds it is the mean over them.
    """
    parts = []
    for group, bonafide, spoof in metrics.grouped(scores, column):
        found = over_seeds(pd.concat([bonafide, spoof]), {"eer": "spoof_score"}, options, seed=seed)
        parts.append(found.assign(group=group[column]))
    table = pd.concat(parts, ignore_index=True).rename(columns={"value": "eer", "n_spoof": "n"})
    return table[["detector", "group", "eer", "low", "high", "n"]]


def operating_table(scores: pd.DataFrame, options: Evaluation, seed: int) -> pd.DataFrame:
    """The operating points of each detector (`sslig.stats.operating_points.table`), with ``detector``."""
    recordings = "recording" if options.resample_recordings else None
    found = {
        name: operating_points.table(part, seed=seed, rounds=options.rounds, recordings=recordings)
        for name, part in by_detector(scores).items()
    }
    return pd.concat(found, names=["detector"]).reset_index("detector").reset_index(drop=True)


def operating_wide(table: pd.DataFrame) -> pd.DataFrame:
    """An `operating_table` as people read it: a row a point, a column a detector."""
    text = [interval_text(row, "eer") for row in table.to_dict("records")]
    shown = table.assign(text=text).pivot(index="point", columns="detector", values="text")
    return shown.loc[table["point"].unique(), table["detector"].unique()].rename_axis(columns=None).reset_index()


def operating_note(table: pd.DataFrame) -> str:
    """What the sizes of the classes say about the points that hold a low rate."""
    one = table[table["detector"] == table["detector"].iloc[0]]
    held = one.dropna(subset="errors_allowed")
    said = [
        f"{row.errors_allowed:.1f} of the {f'{row.n_spoof:,} spoofs' if ' at FMR' in row.point else ''}"
        f"{f'{row.n_bonafide:,} bona fide' if ' at FNMR' in row.point else ''} (*{row.point}*)"
        for row in held.itertuples()
    ]
    text = f"The rates that are held let through {listed(said)}."
    empty, few = (
        [f"*{row.point}*" for row in held.itertuples() if least <= row.errors_allowed < most]
        for least, most in ((0, 1), (1, FEW_ERRORS))
    )
    if empty:
        text += (f" One error in 1,000 takes 1,000 trials: where not even one may pass, as at {listed(empty)}, the "
                 "threshold lies at the one most extreme trial of the class.")  # fmt: skip
    if few:
        text += f" Where fewer than {FEW_ERRORS} may, as at {listed(few)}, a handful of trials decides where it lies."
    return text


def rate_curves(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Both error rates of each detector over the threshold: ``threshold``, ``fnmr``, ``fmr`` at `CURVE_POINTS`."""
    found = {}
    for name, part in by_detector(scores).items():
        bonafide, spoof = map(np.sort, by_class(part))
        ends = (min(bonafide[0], spoof[0]), max(bonafide[-1], spoof[-1]))
        at = np.linspace(*ends, CURVE_POINTS)
        called_bonafide = np.searchsorted(bonafide, at) / len(bonafide)
        fnmr, fmr = 1 - called_bonafide, np.searchsorted(spoof, at) / len(spoof)
        found[name] = pd.DataFrame({"threshold": at, "fnmr": fnmr, "fmr": fmr})
    return found


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


def company(study: Study, detectors: list[str], seed: int, n: int) -> pd.DataFrame:
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


def left_out_note(study: Study, detectors: list[str], seeds: list[int], name: str) -> str:
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


def attack_note(study: Study, by_attack: pd.DataFrame) -> str:
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
    averaged = "Averaged over detectors" if by_attack["detector"].nunique() > 1 else "By its EERs"
    return f"{text} {averaged}, {mean.index[-1]} is the hardest attack and {mean.index[0]} the easiest."


def paths(study: Study) -> dict[str, str]:
    """Utterance -> file, of *eval*."""
    return protocol.load_set(study.corpus_root, "eval").set_index("utterance")["path"].to_dict()


def labelled(errors: pd.DataFrame, files: dict[str, str]) -> dict[str, list[str]]:
    """Label -> file of the utterances of `worst_errors`."""
    return {
        f"{row.utterance}: {'bona fide' if row.key == 'bonafide' else f'spoof, {row.attack}'}"
        f"{'' if row.codec == NONE else f', {row.codec}'}, rank {100 * row.mean_rank:.0f} %": [files[row.utterance]]
        for row in errors.itertuples()
    }
