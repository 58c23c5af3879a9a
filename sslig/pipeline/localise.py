"""Localise: whether maps of detected spoofs find the planted cue that they were made with."""

from pathlib import Path

import pandas as pd

from sslig import scoring
from sslig.attribution import context
from sslig.attribution.context import dev_threshold
from sslig.attribution.explanation import NO_RECORD
from sslig.attribution.methods import offered
from sslig.corpora import protocol
from sslig.corpora.planted import WHOLE_HZ, kind_of, truth, truth_mask
from sslig.corpora.protocol import draw
from sslig.files import write_parquet
from sslig.labels import BONAFIDE, SPOOF
from sslig.models import named
from sslig.models.detector import select_device
from sslig.study import Study
from sslig.validation import statistics
from sslig.validation.places import cell_rows, localisation_rows, transplant_rows, twin_waveform
from sslig.validation.presented import present
from sslig.validation.transplants import SCORES

LABELLED = "labelled"
"""In place of a kind of planted cue: spoofed segments that a released corpus labels."""

DESCRIPTION = ("utterance", "speaker", "recording", "score", "threshold", "set")
COLUMNS = (
    *(*DESCRIPTION, "place_share", "method", "aggregation", "smoothing_ms"),
    *(*statistics.COLUMNS, *NO_RECORD),
)


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
    transplants: Path,
    left_out: Path,
) -> None:
    """Measure how well each map finds the planted cues of `kind`, or `LABELLED` segments, in detected spoofs.

    A row of the table `localisation` is an utterance, map, width of smoothing and measure: ``kind``, ``detector``,
    ``seed`` and `COLUMNS`. ``set`` is *dev*, where widths are chosen, or *eval*; ``place_share`` is the share of the
    frames read that belong to the place; ``aggregation`` is ``plain`` for maps that are no explanation, and ``cells``
    for maps in time and frequency, of kinds that lie within a band; the other columns are explained in
    `sslig.validation.statistics.measured` and `sslig.attribution.explanation`. A row of `transplants` is an utterance
    of *eval* and a space, with the scores of `sslig.validation.transplants`. The tables are empty where no spoof is
    detected. Frames that the head does not read are left out of map and truth; spoofs with no place among the others
    are in `left_out`.
    """
    dev = pd.read_parquet(scores_dev)
    utterances = detected(study, corpus, {"dev": dev, "eval": pd.read_parquet(scores_eval)}, dev_threshold(dev))
    places = dict(tuple(pd.concat([truth(corpus, name) for name in ("dev", "eval")]).groupby("utterance")))
    model, rows, moved = named.load(detector), [], []
    band_hz = WHOLE_HZ if kind == LABELLED else kind_of(kind).band_hz
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
            twin = twin_waveform(study, model, row["twin"], presented.waveform)
            about = row[list(DESCRIPTION)].to_dict() | {"place_share": place[:n_read].mean()}
            measures = localisation_rows(presented, methods, place, slice(n_read), twin)
            if row["set"] == "eval" and band_hz != WHOLE_HZ:
                measures += cell_rows(presented, places[row["utterance"]], study.validation.grid_passes)
            rows += [about | values for values in measures]
            if twin is not None and row["set"] == "eval":
                moved += [about | values for values in transplant_rows(presented, place, twin, band_hz)]
    labels = {"kind": kind, "detector": name, "seed": seed}
    write_parquet(localisation, pd.DataFrame(rows, columns=list(COLUMNS)).assign(**labels))
    columns = [*DESCRIPTION, "place_share", "space", *SCORES]
    write_parquet(transplants, pd.DataFrame(moved, columns=columns).assign(**labels))
    write_parquet(left_out, unread.table(utterances))


def detected(study: Study, corpus: Path, scores: dict[str, pd.DataFrame], threshold: float) -> pd.DataFrame:
    """The detected spoofs that are explained, with ``recording``, ``set``, ``score``, ``threshold`` and ``twin``.

    Those are spoofs whose score reaches the `threshold`, which *dev* sets: at most ``validation.planted_utterances`` of
    *eval*, and ``validation.tuning_utterances`` of *dev*. `scores` are tables by set; ``twin`` is the path of the same
    recording without the cue.
    """
    at_most, parts = {"dev": study.validation.tuning_utterances, "eval": study.validation.planted_utterances}, []
    for name, table in scores.items():
        by_utterance = table.set_index("utterance")["spoof_score"]
        spoofs = protocol.load_set(corpus, name).query("label == @SPOOF")
        spoofs = spoofs.assign(set=name, score=spoofs["utterance"].map(by_utterance), threshold=threshold)
        there = spoofs["utterance"].isin(truth(corpus, name)["utterance"])
        chosen = draw(spoofs[(spoofs["score"] >= threshold) & there], at_most[name], study.corpus.seed)
        parts.append(chosen.assign(twin=chosen["utterance"].map(twins(corpus, name))))
    return protocol.with_recordings(corpus, pd.concat(parts, ignore_index=True))


def twins(corpus: Path, set_name: str) -> dict[str, str]:
    """Spoof of a set -> sound file of the same recording without the cue; none where a corpus has no such twins."""
    if not (corpus / protocol.RECORDINGS).is_file():
        return {}
    recordings = pd.read_csv(corpus / protocol.RECORDINGS, sep="\t", dtype=str)[["utterance", "original"]]
    table = protocol.load_set(corpus, set_name).merge(recordings, on="utterance", validate="one_to_one")
    paths = table[table["label"] == BONAFIDE].set_index("original")["path"]
    originals = table[table["label"] == SPOOF].set_index("utterance")["original"]
    return originals.map(paths).dropna().to_dict()
