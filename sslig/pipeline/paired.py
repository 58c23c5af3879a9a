"""Paired: whether maps of ordinary spoofs point where these differ from the recordings that they were made from."""

from pathlib import Path

import numpy as np
import pandas as pd

from sslig import audio, scoring
from sslig.attribution import context
from sslig.attribution.explanation import NO_RECORD
from sslig.attribution.methods import offered
from sslig.corpora import protocol
from sslig.corpora.protocol import stratified
from sslig.files import write_parquet
from sslig.models import named
from sslig.models.detector import select_device
from sslig.study import Study
from sslig.validation import statistics
from sslig.validation.paired import LEAST_ALIGNED, align, changed, difference_db, pairs
from sslig.validation.places import localisation_rows
from sslig.validation.presented import present

DESCRIPTION = ("utterance", "attack", "speaker", "recording", "score", "threshold")
COLUMNS = (
    *(*DESCRIPTION, "correlation", "place_share", "method", "aggregation", "smoothing_ms"),
    *(*statistics.COLUMNS, *NO_RECORD),
)


def paired(
    study: Study,
    *,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    baseline: Path,
    nonspeech: Path,
    scores_dev: Path,
    scores_eval: Path,
    paired: Path,
    left_out: Path,
) -> None:
    """Measure how well each map finds what an attack has changed, in spoofs of *eval* that a detector detects.

    The place is the quarter of the frames that differ most from the aligned original (`sslig.validation.paired`). A row
    of the table `paired` is an utterance, map, width of smoothing and measure: ``detector``, ``seed`` and `COLUMNS`,
    those of the rule *localise* with ``attack`` and ``correlation``, of the aligned spectrograms. It is empty where no
    original is known, as in a corpus that was not built here.
    """
    dev, scored = (pd.read_parquet(path) for path in (scores_dev, scores_eval))
    model, rows = named.load(detector), []
    prepared = context.load(study, seed, model, corpus, baseline, nonspeech, scores_dev)
    utterances = detected(study, corpus, scored, context.dev_threshold(dev))
    methods = offered(model, study.validation.methods)
    with scoring.evaluating(model, select_device(study.device)):
        presented_rows, unread = present(study, model, prepared, utterances, context.dev_threshold(dev))
        for row, presented in presented_rows:
            pair = align(presented.waveform[0].cpu().numpy(), audio.read(row["original"]))
            if pair.correlation < LEAST_ALIGNED:
                unread.faults[row.name] = (
                    f"its spectrogram correlates with that of its original by {pair.correlation:.2f}"
                )
                continue
            by_frame = difference_db(pair, model.clock).mean(axis=0)[: presented.controls.n_read]  # NaN outside
            known = np.flatnonzero(np.isfinite(by_frame))
            within, truth = slice(known[0], known[-1] + 1), np.zeros(len(by_frame), dtype=bool)
            truth[within] = changed(by_frame[within])
            about = row[list(DESCRIPTION)].to_dict() | {"correlation": pair.correlation}
            about |= {"place_share": truth[within].mean()}
            rows += [about | values for values in localisation_rows(presented, methods, truth, within)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).assign(detector=name, seed=seed)
    write_parquet(paired, table)
    write_parquet(left_out, unread.table(utterances))


def detected(study: Study, corpus: Path, scores: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """At most ``validation.paired_utterances`` spoofs of *eval* with an original and a score from the `threshold` on,
    drawn evenly over attacks, with ``original``, ``recording``, ``score`` and ``threshold``."""
    by_utterance = scores.set_index("utterance")["spoof_score"]
    spoofs = pairs(protocol.with_recordings(corpus, protocol.load_set(corpus, "eval")))
    spoofs = spoofs.assign(score=spoofs["utterance"].map(by_utterance), threshold=threshold)
    chosen = spoofs[spoofs["score"] >= threshold].reset_index(drop=True)
    return stratified(chosen, 2 * study.validation.paired_utterances, study.corpus.seed)  # half would be bona fide
