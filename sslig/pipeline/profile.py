"""Profile: the cue profile of a detector, where its evidence lies and what is said there."""

from pathlib import Path

import pandas as pd

from sslig.attribution.context import load
from sslig.attribution.methods import default, parse
from sslig.corpora import protocol
from sslig.corpora.protocol import shard_of
from sslig.cues.cue_profile import profiles
from sslig.cues.segments import by_utterance
from sslig.files import write_parquet
from sslig.models import named
from sslig.pipeline.segment import chosen
from sslig.study import Study


def profile(
    study: Study,
    *,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    baseline: Path,
    nonspeech: Path,
    scores_dev: Path,
    segments: Path,
    shard: str,
    regions: Path,
    utterances: Path,
    left_out: Path,
) -> None:
    """Profile the utterances of one shard of *eval*.

    `regions` and `utterances` are the tables of `sslig.cues.cue_profile.profiles`, with ``detector`` and ``seed``.
    """
    table = shard_of(protocol.with_recordings(corpus, chosen(study, corpus, "profile")), shard)
    stored = pd.read_parquet(segments, filters=[("utterance", "in", table["utterance"].tolist())])
    model, method = named.load(detector), parse(default(study.attribution))
    stored_means = {"baseline": baseline, "nonspeech": nonspeech}
    context = load(study, seed, model, corpus, **stored_means, scores_dev=scores_dev, spaces=method.draws_in)
    *tables, unread = profiles(study, model, table, context, by_utterance(stored))
    for path, part in zip((regions, utterances), tables, strict=True):
        write_parquet(path, part.assign(detector=name, seed=seed))
    write_parquet(left_out, unread)
