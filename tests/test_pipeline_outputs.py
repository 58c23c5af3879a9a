import subprocess

import pandas as pd
import pytest

from sslig import pipeline
from sslig.errors import PipelineError
from sslig.files import write_parquet
from sslig.pipeline import outputs


@pytest.fixture
def snakemake(monkeypatch):
    """Stands in for Snakemake: keeps its targets and ends with the status that it is set to."""
    calls, status = [], [0]

    def run(command, **_):
        calls.append(command[command.index("--") + 1 :])
        return subprocess.CompletedProcess(command, status[0])

    monkeypatch.setattr(outputs.subprocess, "run", run)
    monkeypatch.delenv(outputs.IN_RULE, raising=False)
    return calls, status


def write(study, kind=None):
    """Write a table of scores for each detector of a study, one without rows."""
    for number, detector in enumerate(study.detectors):
        rows = pd.DataFrame({"utterance": ["a"] * number, "spoof_score": [1.0] * number})
        write_parquet(study.run(detector, 0) / "scores_eval.parquet", rows)


def test_tables_are_asked_for_in_one_call_and_read_as_one(experiment, snakemake):
    write(experiment)
    tables = pipeline.tables(experiment, "scores_eval", detectors=["camhfa", "sls"], seeds=[0])
    assert snakemake[0] == [["runs/tiny/camhfa/seed0/scores_eval.parquet", "runs/tiny/sls/seed0/scores_eval.parquet"]]
    assert tables["scores_eval"]["detector"].tolist() == ["camhfa", "sls", "sls"]
    assert tables["scores_eval"]["seed"].tolist() == [0, 0, 0]


def test_tables_of_planted_cues_name_their_kind(experiment, snakemake):
    write(experiment.planted("splice"))
    tables = pipeline.tables(experiment, "planted_scores_eval", detectors=["camhfa"], seeds=[0], kinds=["splice"])
    assert tables["planted_scores_eval"][["kind", "detector", "seed"]].values.tolist() == [["splice", "camhfa", 0]]


def test_a_detector_is_its_folder(experiment, snakemake):
    files = pipeline.files(experiment, "detector", detectors=["sls"])
    assert files == {("sls", seed): experiment.run("sls", seed) / "detector" for seed in experiment.seeds}
    assert pipeline.files(experiment, "artefacts_eval") == {(): experiment.runs / "artefacts_eval.parquet"}


def test_a_corpus_is_its_folder(experiment, snakemake):
    assert outputs.corpus_root(experiment) == experiment.corpus_root
    assert len(snakemake[0][0]) == 3


def test_nothing_is_asked_for_inside_a_rule(experiment, snakemake, monkeypatch):
    monkeypatch.setenv(outputs.IN_RULE, "1")
    write(experiment)
    assert len(pipeline.tables(experiment, "scores_eval", seeds=[0])["scores_eval"]) == 3
    with pytest.raises(PipelineError, match=r"scores_dev\.parquet is missing: the Snakefile does not name it"):
        pipeline.tables(experiment, "scores_dev", seeds=[0])
    assert snakemake[0] == []


def test_an_unknown_name_and_a_failed_step_are_errors(experiment, snakemake):
    with pytest.raises(PipelineError, match="no table or file 'score'; there are segments_eval, "):
        pipeline.files(experiment, "score")
    snakemake[1][0] = 1
    with pytest.raises(PipelineError, match=r"experiment\.yaml: Snakemake could not make runs/tiny/segments_eval"):
        pipeline.files(experiment, "segments_eval")


@pytest.mark.parametrize(
    ("detectors", "seeds", "expected"),
    [
        (None, None, (["aasist", "camhfa", "sls"], [0, 1])),
        (["sls"], [1], (["sls"], [1])),
        ('["camhfa"]', "[0]", (["camhfa"], [0])),
        ("camhfa", 0, (["camhfa"], [0])),
    ],
)
def test_a_page_chooses_by_lists_or_by_the_text_of_them(experiment, detectors, seeds, expected):
    assert outputs.chosen(experiment, detectors, seeds) == expected
