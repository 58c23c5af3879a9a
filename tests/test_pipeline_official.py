"""The rule official turns a table of scores into the file of the official evaluation."""

import pandas as pd

from sslig import scores
from sslig.pipeline.official import official


def test_the_file_has_the_negated_scores(tmp_path):
    trial = {"utterance": ["E_1"], "spoof_score": [-3.25], "key": ["bonafide"], "attack": ["-"], "codec": ["-"]}
    run = {"speaker": ["S"], "duration_s": [1.0], "crop_s": [None], "seed": [0], "checkpoint": ["x"]}
    scores.write(tmp_path / "scores_eval.parquet", pd.DataFrame(trial | run))
    official(None, scores=tmp_path / "scores_eval.parquet", official=tmp_path / "scores_eval.tsv")
    assert (tmp_path / "scores_eval.tsv").read_text() == "filename\tcm-score\nE_1\t3.25\n"
