import numpy as np
import pytest

from sslig import stages
from sslig.widgets.bench import Bench
from sslig.widgets.catalogue import Catalogue, CatalogueError, Filter


@pytest.fixture(scope="module")
def bench(explained_study):
    return Bench(explained_study)


@pytest.fixture
def catalogue(bench, explained_study):
    return Catalogue(explained_study, bench.names, bench.seed, bench.explained())


def names(table):
    return table["utterance"].tolist()


def test_it_lists_what_is_scored_and_tells_what_is_explained(catalogue, explained_study):
    assert names(catalogue.table) == [f"E_{number:04d}" for number in range(8)]
    explained = set(stages.explained(explained_study)["utterance"])
    assert set(names(catalogue.find(Filter()))) == explained
    assert len(catalogue.find(Filter(explained=False))) == 8


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"text": "e_0003"}, ["E_0003"]),
        ({"key": "bonafide"}, ["E_0000", "E_0002", "E_0004", "E_0006"]),
        ({"attack": "A04"}, ["E_0005", "E_0007"]),
        ({"speaker": "E_S1", "key": "spoof"}, ["E_0005", "E_0007"]),
        ({"codec": "C09"}, []),
        ({"text": ".*"}, []),
    ],
)
def test_filters_narrow_it(catalogue, values, expected):
    assert names(catalogue.find(Filter(explained=False, **values))) == expected


def test_a_range_of_scores_is_that_of_one_detector(catalogue):
    scores = catalogue.table.set_index("utterance")["sls"]
    middle = scores.median()
    found = catalogue.find(Filter(explained=False, detector="sls", low=middle))
    assert set(names(found)) == set(scores.index[scores >= middle])
    with pytest.raises(CatalogueError, match=r"a range of scores of ''; accepted: aasist, camhfa, sls"):
        catalogue.find(Filter(low=0.0))


def test_groups_are_those_of_all_detectors(catalogue):
    groups = catalogue.table.groupby("group")["utterance"].apply(list)
    for group, members in groups.items():
        assert names(catalogue.find(Filter(explained=False, group=group))) == members


def test_it_is_sorted_both_ways(catalogue):
    rising = catalogue.find(Filter(explained=False), "aasist")["aasist"].to_numpy()
    assert (np.diff(rising) >= 0).all()
    assert names(catalogue.find(Filter(explained=False), "-utterance"))[0] == "E_0007"
    with pytest.raises(CatalogueError, match=r"order 'mood'; accepted: utterance, key"):
        catalogue.find(Filter(), "mood")


def test_choices_are_what_is_there(catalogue):
    choices = catalogue.choices()
    assert choices["key"] == ["bonafide", "spoof"]
    assert choices["attack"] == ["-", "A03", "A04"]
    assert choices["speaker"] == ["E_S0", "E_S1"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mood": "x"}, "unknown filter 'mood'; accepted: text, key"),
        ({"text": 3}, "filter text is 3; accepted: str"),
        ({"low": "3"}, "filter low is '3'"),
        ({"low": True}, "filter low is True"),
        ({"explained": "yes"}, "filter explained is 'yes'; accepted: bool"),
    ],
)
def test_filters_from_a_browser_are_checked(values, message):
    with pytest.raises(CatalogueError, match=message):
        Filter.of(values)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "E_0000.flac", "E_0000/../E_0001", "", "\x00"])
def test_only_names_of_the_protocol_are_opened(catalogue, name):
    with pytest.raises(CatalogueError, match=r"no utterance .* among 8 of eval, such as E_0000"):
        catalogue.path(name)


def test_a_link_out_of_the_corpus_is_refused(catalogue, tmp_path, monkeypatch):
    inside, outside = tmp_path / "corpus", tmp_path / "secret.flac"
    inside.mkdir()
    outside.write_bytes(b"secret")
    (inside / "E_0000.flac").symlink_to(outside)
    table = catalogue.table.assign(path=str(inside / "E_0000.flac"))
    monkeypatch.setattr(catalogue, "table", table)
    monkeypatch.setattr(catalogue, "root", inside)
    with pytest.raises(CatalogueError, match=r"E_0000.flac: leads out of the corpus .*, to .*secret.flac"):
        catalogue.path("E_0000")


def test_a_link_within_the_corpus_is_followed(catalogue, tmp_path, monkeypatch):
    (tmp_path / "real.flac").write_bytes(b"")
    (tmp_path / "E_0000.flac").symlink_to(tmp_path / "real.flac")
    monkeypatch.setattr(catalogue, "table", catalogue.table.assign(path=str(tmp_path / "E_0000.flac")))
    monkeypatch.setattr(catalogue, "root", tmp_path)
    assert catalogue.path("E_0000") == tmp_path / "E_0000.flac"
