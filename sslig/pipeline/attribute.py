"""Attributions of the utterances that a study explains."""

from pathlib import Path

import pandas as pd

from sslig import scoring
from sslig.attribution.context import load
from sslig.attribution.explanation import CERTIFICATE
from sslig.attribution.methods import default, explain_batch, parse
from sslig.corpora import protocol
from sslig.corpora.protocol import shard_of, stratified
from sslig.errors import DataError
from sslig.files import write_parquet
from sslig.models import named
from sslig.models.detector import select_device
from sslig.study import Study

DESCRIPTION = ("utterance", "key", "attack", "codec", "speaker")
COLUMNS = (*DESCRIPTION, *CERTIFICATE, "by_frame", "by_layer", "method", "detector", "seed")


def attribute(
    study: Study,
    *,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    baseline: Path,
    nonspeech: Path,
    scores_dev: Path,
    shard: str,
    attributions: Path,
    left_out: Path,
) -> None:
    """Explain utterances of *eval*, drawn evenly over classes and attacks, in batches of one length.

    The method is `sslig.attribution.methods.default`; `scores_dev` have the threshold that its starts are weighted for.

    A row of the table `attributions` is an utterance, with `COLUMNS`; ``by_frame`` (frame,) and ``by_layer``
    (layer, frame) in logits, positive is evidence for spoof. Parquet has no matrices, so ``by_layer`` is a list of
    layers.

    Raises
    ------
    DataError
        No utterance could be read.
    """
    drawn = stratified(protocol.load_set(corpus, "eval"), study.attribution.utterances, study.corpus.seed)
    utterances = shard_of(drawn, shard).reset_index(drop=True)
    model, device = named.load(detector), select_device(study.device)
    method = default(study.attribution, model)
    stored = {"baseline": baseline, "nonspeech": nonspeech, "scores_dev": scores_dev}
    context = load(study, seed, model, corpus, **stored, spaces=parse(method).draws_in)
    batches, unread = scoring.batches(utterances, model, study.scoring)
    rows = []
    with scoring.evaluating(model, device):
        for batch in batches:
            explained = utterances.iloc[batch.rows][list(DESCRIPTION)]
            contexts = [context.of(name) for name in explained["utterance"]]
            results = explain_batch(method, model, batch.waveforms.to(device), contexts)
            for about, result in zip(explained.to_dict("records"), results, strict=True):
                maps = {"by_frame": result.by_frame, "by_layer": list(result.by_layer)}
                rows.append(about | result.record() | maps)
    if len(utterances) and not rows:
        raise DataError(f"{name}: none of {len(utterances)} utterances could be read: {unread.faults}")
    table = pd.DataFrame(rows).assign(method=method, detector=name, seed=seed)
    table = table.reindex(columns=list(COLUMNS)).sort_values("utterance").reset_index(drop=True)
    write_parquet(attributions, table)
    write_parquet(left_out, unread.table(utterances))
