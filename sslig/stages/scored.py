"""Scores of trained detectors on whole sets."""

from pathlib import Path

import pandas as pd

from sslig import records, scores, scoring
from sslig.corpora import protocol
from sslig.files import write_json, write_tsv
from sslig.models.detector import Detector, fingerprint, select_device
from sslig.stages.trained import checkpoint
from sslig.study import Study

SCORED_SETS = ("dev", "eval")


def set_scores(experiment: Study, detector: str, seed: int, set_name: str) -> pd.DataFrame:
    """The scores of one trained detector on one set.

    They lie in the run's folder as ``scores_<set>.parquet`` and, in the official form, ``scores_<set>.tsv``; what could
    not be scored is in ``left_out_<set>.tsv``.
    """
    folder, run = checkpoint(experiment, detector, seed), experiment.run(detector, seed)
    path, record = run / f"scores_{set_name}.parquet", run / f"scores_{set_name}.json"
    mark = fingerprint(folder)
    key = records.hash_of(mark, records.how(experiment), records.contents(experiment, set_name))
    left_out_file = run / f"left_out_{set_name}.tsv"
    if records.stored_key(record) == key and not _repaired(experiment, set_name, left_out_file):
        return scores.read(path)
    record.unlink(missing_ok=True)
    utterances = protocol.load_set(experiment.corpus_root, set_name)
    model = Detector.from_pretrained(folder)
    scored, left_out = scoring.score(model, utterances, experiment.scoring, select_device(experiment.device))
    result = scored.assign(seed=seed, checkpoint=mark)[list(scores.COLUMNS)]
    write_tsv(left_out_file, left_out)
    scores.write_official(run / f"scores_{set_name}.tsv", result)
    scores.write(path, result)
    write_json(record, {"key": key, "scored": len(result), "left_out": len(left_out)})
    return result


def _repaired(experiment: Study, set_name: str, left_out_file: Path) -> bool:
    """Whether a file that could not be scored was written since: then all is scored again."""
    left_out = pd.read_csv(left_out_file, sep="\t", dtype=str)["utterance"]
    if left_out.empty:
        return False
    paths = (
        protocol.load_set(experiment.corpus_root, set_name).set_index("utterance")["path"].reindex(left_out).dropna()
    )
    return any(Path(path).stat().st_mtime > left_out_file.stat().st_mtime for path in paths)


def score(experiment: Study, detector: str, seed: int) -> None:
    """Score both sets that scores are needed of."""
    for set_name in SCORED_SETS:
        set_scores(experiment, detector, seed, set_name)
