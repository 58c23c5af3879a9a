"""Localise: whether maps of detected spoofs find the planted cue that they were made with."""

from pathlib import Path

import pandas as pd

from sslig import scoring
from sslig.attribution import context
from sslig.attribution.context import dev_threshold
from sslig.attribution.explanation import NO_RECORD
from sslig.attribution.methods import offered
from sslig.corpora import protocol
from sslig.corpora.planted import truth, truth_mask
from sslig.corpora.protocol import draw
from sslig.files import write_parquet
from sslig.labels import BONAFIDE, SPOOF
from sslig.models.detector import Detector, select_device
from sslig.study import Study
from sslig.validation import statistics
from sslig.validation.localisation import TRANSPLANTED
from sslig.validation.presented import localisation_rows, present, twin_features

DESCRIPTION = ("utterance", "speaker", "recording", "score", "threshold")
COLUMNS = (*DESCRIPTION, "place_share", *TRANSPLANTED, "method", "aggregation", *statistics.COLUMNS, *NO_RECORD)


def localise(
    study: Study,
    *,
    kind: str,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    baseline: Path,
    nonspeech: Path,
    scores_dev: Path,
    scores_eval: Path,
    localisation: Path,
    left_out: Path,
) -> None:
    """Measure how well each map finds the planted cues of `kind` in the spoofs that a detector detects.

    A row of the table is an utterance, map and measure: ``kind``, ``detector``, ``seed`` and `COLUMNS`. ``place_share``
    is the share of the frames read that belong to the place; ``aggregation`` is ``plain`` for maps that are no
    explanation; the other columns are explained in `sslig.validation.localisation.transplanted`,
    `sslig.validation.statistics.measured` and `sslig.attribution.explanation`. The table is empty where no spoof is
    detected. Frames that the head does not read are left out of map and truth; spoofs with no place among the others
    are in `left_out`.
    """
    utterances = detected(study, corpus, pd.read_parquet(scores_dev), pd.read_parquet(scores_eval))
    places, twin_of = dict(tuple(truth(corpus, "eval").groupby("utterance"))), twins(corpus)
    model, rows = Detector.from_pretrained(detector), []
    methods, threshold = offered(model, study.validation.methods), utterances["threshold"].max()
    prepared = context.load(study, seed, model, corpus, baseline, nonspeech, scores_dev)
    with scoring.evaluating(model, select_device(study.device)):
        presented_rows, unread = present(study, model, prepared, utterances, threshold)
        for row, presented in presented_rows:
            place = truth_mask(places[row["utterance"]], model.clock, presented.features.shape[2])
            n_read = presented.controls.n_read
            n_seen = place[:n_read].sum()
            if not 0 < n_seen < n_read:
                unread.faults[row.name] = f"{n_seen} of the {n_read} frames that the head reads belong to the place"
                continue
            twin = twin_features(study, model, twin_of.get(row["utterance"]), presented.features)
            about = row[list(DESCRIPTION)].to_dict()
            rows += [about | values for values in localisation_rows(presented, methods, place, twin)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_parquet(localisation, table.assign(kind=kind, detector=name, seed=seed))
    write_parquet(left_out, unread.table(utterances))


def detected(study: Study, corpus: Path, scores_dev: pd.DataFrame, scores_eval: pd.DataFrame) -> pd.DataFrame:
    """The detected spoofs of *eval* that are explained, with ``recording``, ``score`` and ``threshold``.

    That is at most ``validation.planted_utterances`` of those whose score reaches the threshold of the EER on *dev*,
    which is set before *eval* is looked at.
    """
    threshold, scores = dev_threshold(scores_dev), scores_eval.set_index("utterance")["spoof_score"]
    spoofs = protocol.load_set(corpus, "eval").query("label == @SPOOF")
    spoofs = spoofs.assign(score=spoofs["utterance"].map(scores), threshold=threshold)
    chosen = draw(spoofs[spoofs["score"] >= threshold], study.validation.planted_utterances, study.corpus.seed)
    return protocol.with_recordings(corpus, chosen)


def twins(corpus: Path) -> dict[str, str]:
    """Spoof of *eval* -> sound file of the same recording without the cue."""
    recordings = pd.read_csv(corpus / protocol.RECORDINGS, sep="\t", dtype=str)[["utterance", "original"]]
    table = protocol.load_set(corpus, "eval").merge(recordings, on="utterance", validate="one_to_one")
    paths = table[table["label"] == BONAFIDE].set_index("original")["path"]
    originals = table[table["label"] == SPOOF].set_index("utterance")["original"]
    return originals.map(paths).dropna().to_dict()
