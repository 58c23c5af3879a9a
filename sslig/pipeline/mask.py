"""Scores of utterances under every mask of the study."""

from pathlib import Path

import pandas as pd

from sslig.attribution import baselines
from sslig.corpora import protocol
from sslig.corpora.protocol import shard_of
from sslig.cues import masking
from sslig.cues.masks import Places, of_study
from sslig.cues.segments import by_utterance
from sslig.files import write_parquet
from sslig.models import named
from sslig.models.detector import select_device
from sslig.pipeline.segment import chosen
from sslig.study import Study


def mask(
    study: Study,
    *,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    segments: Path,
    attributions: Path,
    nonspeech: Path,
    shard: str,
    masks: Path,
    left_out: Path,
) -> None:
    """Score utterances of *eval* under every mask and sweep of the study, each with its matched random controls.

    The table `masks` is that of `sslig.cues.masking.mask_scores`, with the columns of `sslig.cues.masks.of_study` and
    the ``recording`` of each utterance. Masks that rank frames by attribution have no row of an utterance without one.

    Raises
    ------
    InputError
        A mask is not accepted, or needs a tier that the study does not decode.
    DataError
        No utterance of the shard could be read.
    """
    utterances = protocol.with_recordings(corpus, shard_of(chosen(study, corpus, "eval"), shard))
    explained = pd.read_parquet(attributions, columns=["utterance", "by_frame"])
    places = Places(by_utterance(pd.read_parquet(segments)), dict(explained.to_numpy()))
    of_masks = of_study(study.masking.masks, study.masking.sweeps)
    scores, unread = masking.mask_scores(
        named.load(detector),
        utterances,
        list(of_masks),
        places,
        baselines.load(nonspeech).values,
        study.scoring,
        draws=study.masking.draws,
        seed=study.corpus.seed,
        device=select_device(study.device),
    )
    described = scores.merge(pd.DataFrame(list(of_masks.values())), on="mask")
    write_parquet(masks, described.merge(utterances[["utterance", "recording"]], on="utterance"))
    write_parquet(left_out, unread)
