import numpy as np
import pandas as pd
import pytest

from sslig.corpora import protocol
from sslig.errors import InputError
from sslig.widgets.catalogue import Catalogue, Filter

EXPLAINED = {"E_0000", "E_0001", "E_0004", "E_0007"}


@pytest.fixture
def catalogue(corpus):
    """Eight utterances: aasist scores them in the order of their names, sls in the reverse order."""
    table = protocol.load_set(corpus, "eval")[["utterance", "key", "attack", "codec", "speaker"]]
    rising = np.arange(len(table), dtype=float)
    scores = [table.assign(detector="aasist", spoof_score=rising), table.assign(detector="sls", spoof_score=-rising)]
    return Catalogue(corpus, pd.concat(scores), EXPLAINED)


def names(table):
    return table["utterance"].tolist()


def test_it_lists_scored_utterances_and_marks_explained_ones(catalogue):
    assert names(catalogue.table) == [f"E_{number:04d}" for number in range(8)]
    assert set(names(catalogue.find(Filter()))) == EXPLAINED
    assert len(catalogue.find(Filter(explained=False))) == 8


def test_an_utterance_that_a_detector_could_not_score_is_not_listed(catalogue, corpus):
    about = ["utterance", "key", "attack", "codec", "speaker"]
    table = catalogue.table.melt(about, ["aasist", "sls"], "detector", "spoof_score")
    assert names(Catalogue(corpus, table.iloc[1:], set()).table)[0] == "E_0001"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"text": "e_0003"}, ["E_0003"]),
        ({"key": "bonafide"}, ["E_0000", "E_0002", "E_0004", "E_0006"]),
        ({"attack": "A04"}, ["E_0005", "E_0007"]),
        ({"speaker": "E_S1", "key": "spoof"}, ["E_0005", "E_0007"]),
        ({"codec": "C09"}, []),
        ({"text": ".*"}, []),
        ({"detector": "aasist", "low": 2.0, "high": 4.0}, ["E_0002", "E_0003", "E_0004"]),
        ({"detector": "sls", "low": -1.0}, ["E_0000", "E_0001"]),
    ],
)
def test_filters_narrow_it(catalogue, values, expected):
    assert names(catalogue.find(Filter(explained=False, **values))) == expected


def test_a_range_of_scores_needs_a_detector(catalogue):
    with pytest.raises(InputError, match=r"a range of scores of ''; accepted: aasist, sls"):
        catalogue.find(Filter(low=0.0))


def test_it_is_sorted_both_ways(catalogue):
    assert names(catalogue.find(Filter(explained=False), "sls"))[0] == "E_0007"
    assert names(catalogue.find(Filter(explained=False), "-utterance"))[0] == "E_0007"
    with pytest.raises(InputError, match=r"order 'mood'; accepted: utterance, key"):
        catalogue.find(Filter(), "mood")


def test_choices_are_the_values_that_occur(catalogue):
    choices = catalogue.choices()
    assert choices["key"] == ["bonafide", "spoof"]
    assert choices["attack"] == ["-", "A03", "A04"]
    assert choices["speaker"] == ["E_S0", "E_S1"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mood": "x"}, "filter mood is 'x'; .*; the filters are text, key"),
        ({"text": 3}, "filter text is 3; "),
        ({"low": "3"}, "filter low is '3'; "),
        ({"explained": "yes"}, "filter explained is 'yes'; "),
    ],
)
def test_filters_from_a_browser_are_checked(values, message):
    with pytest.raises(InputError, match=message):
        Filter.parse(values)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "E_0000.flac", "E_0000/../E_0001", "", "\x00"])
def test_only_names_of_the_protocol_are_opened(catalogue, name):
    with pytest.raises(InputError, match=r"no utterance .* among 8 of eval, such as E_0000"):
        catalogue.path(name)


def test_a_link_is_followed_within_the_corpus_only(catalogue, tmp_path):
    catalogue.root, link = tmp_path / "corpus", tmp_path / "corpus" / "E_0000.flac"
    catalogue.root.mkdir()
    catalogue.table = catalogue.table.assign(path=str(link))
    link.symlink_to(catalogue.root / "target.flac")
    assert catalogue.path("E_0000") == link
    link.unlink()
    link.symlink_to(tmp_path / "target.flac")
    with pytest.raises(InputError, match=r"E_0000.flac: leads out of the corpus .*, to .*target.flac"):
        catalogue.path("E_0000")
