"""The table of artefact measures of many recordings: taken in parallel, kept in a cache that knows when it is stale."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from sslig import audio
from sslig.audio import AudioError
from sslig.cues import artefacts, voice
from sslig.cues.artefacts import ArtefactError, measure, names
from sslig.cues.tiers import Tier
from sslig.files import write_parquet


def table(
    utterances: pd.DataFrame,
    workers: int = 2,
    f0: bool = False,
    speech: Mapping[str, Tier] | None = None,
    cache: str | os.PathLike | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The measures of many recordings, in the order of `utterances`.

    Parameters
    ----------
    utterances
        ``utterance`` and ``path``.
    workers
        Processes that measure beside each other.
    f0
        Whether to take the measures of the voice too.
    speech
        Voice activity of each utterance; found by level by default.
    cache
        Parquet file of what was measured before. A row is used again while the file (by size and time of change),
        `f0`, the voice activity and the definitions of the measures are the same; what is new is added.

    Returns
    -------
    measures, left_out
        ``utterance`` and a column a measure; and ``utterance`` and ``reason`` of those that could not be measured.

    Raises
    ------
    ArtefactError
        An utterance has no voice activity, stands twice, or none could be measured.
    """
    wanted = _identified(utterances, f0, speech)
    cached = pd.read_parquet(cache) if cache is not None and Path(cache).is_file() else wanted.head(0)
    held = cached.merge(wanted[["identity"]], on="identity")
    new = wanted[~wanted["identity"].isin(held["identity"])]
    tiers = [None if speech is None else speech[name] for name in new["utterance"]]
    found = pd.DataFrame(_each(new["path"], tiers, f0, workers), index=new.index, columns=[*names(f0), "reason"])
    failed = found["reason"].notna()
    done = new[~failed].join(found[~failed].drop(columns="reason"))
    if cache is not None and len(done):
        write_parquet(cache, pd.concat([cached, done]))
    whole = pd.concat([held, done]).set_index("identity").reindex(wanted["identity"]).dropna(subset="utterance")
    if whole.empty:
        raise ArtefactError(
            f"none of {len(utterances)} utterances could be measured: {found['reason'].head(1).tolist()}"
        )
    left_out = new[failed].join(found["reason"])[["utterance", "reason"]]
    return whole[["utterance", *names(f0)]].reset_index(drop=True), left_out.reset_index(drop=True)


def _identified(utterances: pd.DataFrame, f0: bool, speech: Mapping[str, Tier] | None) -> pd.DataFrame:
    """``utterance``, ``path`` and ``identity``: a hash of all that the measures of an utterance depend on."""
    wanted = utterances[["utterance", "path"]].reset_index(drop=True)
    twice = wanted.loc[wanted["utterance"].duplicated(), "utterance"]
    lacking = [] if speech is None else [name for name in wanted["utterance"] if name not in speech]
    if len(twice) or lacking:
        fault = f"{twice.iloc[0]} stands twice" if len(twice) else f"{lacking[0]} has no voice activity"
        raise ArtefactError(f"{fault}; every utterance is needed once, with its tier where tiers are given")
    definitions = b"".join(
        Path(file).read_bytes() for file in (artefacts.__file__, voice.__file__)
    )
    told = hashlib.sha256(definitions).hexdigest()
    tiers = [None if speech is None else _spoken(speech[name]) for name in wanted["utterance"]]
    parts = zip(wanted["utterance"], map(_stamp, wanted["path"]), tiers, strict=True)
    identity = [hashlib.sha256(json.dumps([*part, f0, told]).encode()).hexdigest() for part in parts]
    return wanted.assign(identity=identity)


def _stamp(path: str) -> list[str | int]:
    state = Path(path).stat() if Path(path).is_file() else None
    return [str(path), *((state.st_size, state.st_mtime_ns) if state else ())]


def _spoken(speech: Tier) -> list:
    return [speech.start_s.tolist(), speech.end_s.tolist(), list(speech.labels)]


def _each(paths: pd.Series, tiers: list, f0: bool, workers: int) -> Iterator[dict]:
    """The measures of each file, or the ``reason`` why there are none."""
    jobs = list(zip(paths, tiers, strict=True))
    if workers <= 1 or len(jobs) <= workers:
        yield from map(partial(_measured, f0=f0), jobs)
        return
    # Spawned and not forked: a fork of a process that runs threads (torch, a notebook) can hang.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), threadpool_limits, (1,)) as pool:
        yield from pool.map(partial(_measured, f0=f0), jobs, chunksize=16)


def _measured(job: tuple[str, Tier | None], f0: bool) -> dict[str, float | str]:
    try:
        return measure(audio.read(job[0]), job[1], f0) | {"reason": None}
    except (AudioError, ArtefactError) as error:
        return {"reason": str(error)}
