"""What a study gives its annotators: utterances, regions and plans, from made-up attributions."""

import numpy as np
import pandas as pd
import pytest

from sslig.annotation.store import Store
from sslig.annotation.study import store_path
from sslig.corpora import protocol
from sslig.frames import SSL_CLOCK
from sslig.stages import annotated as stage
from sslig.study import StudyError


class Reader:
    """Stands in for a detector: it has the clock alone."""

    clock = SSL_CLOCK

    @classmethod
    def from_pretrained(cls, folder):
        return cls()


@pytest.fixture
def explained(monkeypatch):
    """Six explained utterances whose evidence is in frames 3 and 4; sls reads ten frames, and has none in the first."""

    def attributions(study, detector, seed):
        table = protocol.load_set(study.corpus_root, "eval").head(6)
        frames = [np.eye(20)[3] + np.eye(20)[4] + 0.001 * (np.arange(20) < (10 if detector == "sls" else 20))] * 6
        frames[0] = frames[0] * (detector != "sls")
        return table.assign(by_frame=frames)

    chosen = pd.DataFrame({"utterance": ["E_0003", "E_0000", "E_0007"], "reason": ["worst", "best", "worst"]})
    monkeypatch.setattr(stage, "attributions", attributions)
    monkeypatch.setattr(stage, "selected", lambda *_: (chosen, None))
    monkeypatch.setattr(stage, "Detector", Reader)
    monkeypatch.setattr(stage, "checkpoint", lambda *_: None)


def test_the_explained_utterances_are_annotated_by_reason_and_class(experiment, explained):
    table = stage.annotated_utterances(experiment, ["aasist", "sls"], 0)
    assert table[["utterance", "group"]].to_numpy().tolist() == [
        ["E_0003", "worst"], ["E_0000", "best"], ["E_0002", "bona fide"], ["E_0004", "bona fide"], ["E_0001", "spoof"],
        ["E_0005", "spoof"],
    ]  # fmt: skip
    assert table["path"].str.endswith(".flac").all()


def test_an_experiment_may_name_them(tmp_path, write_experiment, explained):
    study = write_experiment(tmp_path, annotation={"utterances": ["E_0001", "E_0002", "E_0003"]})
    table = stage.annotated_utterances(study, ["aasist"], 0).set_index("utterance")["group"]
    assert table.to_dict() == {"E_0003": "worst", "E_0002": "bona fide", "E_0001": "spoof"}
    study = write_experiment(tmp_path, annotation={"utterances": ["E_0001", "E_0007"]})
    with pytest.raises(StudyError, match=r"1 of 2 are not among the 6 explained ones; the first: 'E_0007'"):
        stage.annotated_utterances(study, ["aasist"], 0)


def test_regions_are_the_top_ones_and_end_where_the_head_stops(experiment, explained):
    table = stage.annotated_regions(experiment, ["aasist", "sls"], 0).set_index(["detector", "utterance"])
    region = table.loc["aasist", "E_0001"]
    first, last = SSL_CLOCK.centre_s(20)[[3, 4]]
    assert region["start_s"] <= first - SSL_CLOCK.hop_s / 2 + 1e-9
    assert region["end_s"] >= last + SSL_CLOCK.hop_s / 2 - 1e-9
    assert table.loc["aasist", "E_0001"]["read_s"] == pytest.approx(SSL_CLOCK.centre_s(20)[-1] + SSL_CLOCK.hop_s / 2)
    assert table.loc["sls", "E_0001"]["read_s"] == pytest.approx(SSL_CLOCK.centre_s(10)[-1] + SSL_CLOCK.hop_s / 2)
    assert np.isnan(table.loc["sls", "E_0000"]["start_s"])
    assert set(table["segment_class"]) == {"unknown"}


def test_items_are_kept_in_the_store_of_the_study(experiment, explained):
    path = store_path(experiment)
    assert path == experiment.runs / "annotations.sqlite"
    with Store(path) as store:
        items = stage.annotation_items(experiment, ["aasist", "sls"], 0, store, "Ann")
        assert [item.utterance for item in items][:2] == ["E_0003", "E_0000"]
        assert items[1].tracks[1].region is None
        assert store.annotators() == ["Ann"]
