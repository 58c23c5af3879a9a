"""The cue profile of every utterance of *eval*, in shards that are made one by one and kept when a job is killed."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from sslig import records
from sslig.corpora import protocol
from sslig.cues import cue_profile, cue_tally, top_regions
from sslig.files import write_json, write_parquet, write_tsv
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.corpora.sample import stratified
from sslig.stages.attributed import EXPLAINED_SET, baseline
from sslig.stages.decoded import decoded
from sslig.stages.masked import SEGMENTS, tiers_by_utterance
from sslig.stages.trained import checkpoint, corpus
from sslig.study import Study

FOLDER = "profile"
"""Below the run of a detector."""

SHARD_UTTERANCES = 500
"""Utterances of a shard: what a killed job loses at most, and what is held in memory at once."""


def profiled_utterances(experiment: Study) -> pd.DataFrame:
    """The utterances of *eval* that are profiled, with ``recording``: all, or the first of the draw of the study."""
    utterances, n = protocol.load_set(corpus(experiment), EXPLAINED_SET), experiment.validation.profile_utterances
    chosen = utterances if n is None else stratified(utterances, n, experiment.corpus.seed)
    return protocol.with_recordings(experiment.corpus_root, chosen).reset_index(drop=True)


def profile(experiment: Study, detector: str, seed: int, shards: Iterable[int] | None = None) -> int:
    """Make the shards of a detector's cue profile that are not there, and say how many the whole has.

    Shard k holds the utterances from k * `SHARD_UTTERANCES` on: ``regions-k.parquet``, ``utterances-k.parquet``,
    ``left_out-k.tsv``, and at last ``k.json`` with the hash of all that decides them. What is said in an utterance is
    decoded shard by shard too, once for all detectors. Memory is that of one shard.

    Parameters
    ----------
    shards
        Those that this job makes, for several jobs beside each other; by default all.
    """
    utterances = profiled_utterances(experiment)
    parts = _shards(utterances)
    wanted = range(len(parts)) if shards is None else shards
    keys = _keys(experiment, detector, seed, parts)
    run = experiment.run(detector, seed) / FOLDER
    missing = [number for number in wanted if records.stored_key(run / f"{number:05d}.json") != keys[number]]
    if not missing:
        return len(parts)
    model = Detector.from_pretrained(checkpoint(experiment, detector, seed))
    start, device = baseline(experiment, detector, seed), select_device(experiment.device)
    for number in missing:
        record, part = run / f"{number:05d}.json", parts[number]
        record.unlink(missing_ok=True)
        tiers = tiers_by_utterance(_decoded(experiment, number, part))
        found = cue_profile.profiles(model, part, start, experiment.attribution, experiment.scoring, tiers, device)
        recordings = part.set_index("utterance")["recording"]
        of_utterances = found.utterances.assign(recording=found.utterances["utterance"].map(recordings))
        for name, table in (("regions", found.regions), ("utterances", of_utterances)):
            write_parquet(_path(run, name, number), table.assign(detector=detector, seed=seed))
        write_tsv(run / f"left_out-{number:05d}.tsv", found.left_out)
        write_json(record, {"key": keys[number], "utterances": len(part), "left_out": len(found.left_out)})
    return len(parts)


def profiled_parts(experiment: Study, detector: str, seed: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """The regions and utterances (`sslig.cues.cue_profile.Profiles`) of each shard in turn, made where missing."""
    run = experiment.run(detector, seed) / FOLDER
    for number in range(profile(experiment, detector, seed)):
        yield tuple(pd.read_parquet(_path(run, name, number)) for name in ("regions", "utterances"))


def profiled(experiment: Study, detector: str, seed: int) -> pd.DataFrame:
    """The top regions of all profiled utterances, a row a region; of a large set take `profiled_parts`."""
    return pd.concat([regions for regions, _ in profiled_parts(experiment, detector, seed)], ignore_index=True)


def profile_left_out(experiment: Study, detector: str, seed: int) -> pd.DataFrame:
    """``utterance`` and ``reason`` of the files that could not be profiled."""
    run = experiment.run(detector, seed) / FOLDER
    numbers = range(profile(experiment, detector, seed))
    tables = [pd.read_csv(run / f"left_out-{number:05d}.tsv", sep="\t", dtype=str) for number in numbers]
    return pd.concat(tables, ignore_index=True)


def profile_summary(
    experiment: Study, seed: int, by: Sequence[str] = ("detector",), detectors: Sequence[str] | None = None
) -> pd.DataFrame:
    """The cue profile of each group (`sslig.cues.cue_tally.summary`), of all detectors by default.

    Parameters
    ----------
    seed
        Training seed.
    by
        ``detector``, and with it ``attack``, ``codec``, ``key`` ...
    """
    second = experiment.evaluation.resample_recordings
    tallies = (
        cue_tally.tally(regions, utterances if second else utterances.drop(columns="recording"), by)
        for detector in (experiment.detectors if detectors is None else detectors)
        for regions, utterances in profiled_parts(experiment, detector, seed)
        if len(utterances)
    )
    return cue_tally.summary(
        cue_tally.added(tallies, by), by, seed=experiment.corpus.seed, rounds=experiment.validation.rounds,
        resample_recordings=second,
    )  # fmt: skip


def _shards(utterances: pd.DataFrame) -> list[pd.DataFrame]:
    starts = range(0, len(utterances), SHARD_UTTERANCES)
    return [utterances.iloc[start : start + SHARD_UTTERANCES].reset_index(drop=True) for start in starts]


def _keys(experiment: Study, detector: str, seed: int, parts: Sequence[pd.DataFrame]) -> list[str]:
    """Of each shard, a hash of all that decides it."""
    mark = fingerprint(checkpoint(experiment, detector, seed))
    explained = {k: v for k, v in dataclasses.asdict(experiment.attribution).items() if k != "utterances"}
    made_by = [records.hash_of_file(Path(module.__file__)) for module in (cue_profile, top_regions)]
    common = records.hash_of(
        mark, seed, explained, made_by, records.how(experiment), records.contents(experiment, EXPLAINED_SET),
        _sources(experiment),
    )  # fmt: skip
    return [records.hash_of(common, part["utterance"].tolist()) for part in parts]


def _decoded(experiment: Study, number: int, part: pd.DataFrame) -> pd.DataFrame:
    """The segments of a shard, the same for all detectors."""
    folder = f"{SEGMENTS}/{FOLDER}-{number:05d}"
    return decoded(experiment, folder, EXPLAINED_SET, part, _sources(experiment), experiment.masking.workers)


def _sources(experiment: Study) -> list[str]:
    """Sources of speech and of phones among those of the study; no other segments are told."""
    return [name for name in experiment.masking.segments if name == "vad" or name.split(":")[1:2] == ["phones"]]


def _path(run: Path, name: str, number: int) -> Path:
    return run / f"{name}-{number:05d}.parquet"
