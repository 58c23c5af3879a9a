"""Which sets a corpus has, and which of its values decide anything."""

import pytest
from pydantic import ValidationError

from sslig.sources import Corpus


@pytest.mark.parametrize(
    ("values", "sets", "reference"),
    [
        ({"source": "prompts"}, ["train", "dev", "eval"], "train"),
        ({"source": "asvspoof5", "sets": ["eval", "dev"]}, ["dev", "eval"], "dev"),
        ({"source": "asvspoof2021_df"}, ["dev", "eval"], "dev"),
        ({"source": "in_the_wild"}, ["eval"], "eval"),
        ({"source": "in_the_wild", "shares": {"dev": 0.2}}, ["dev", "eval"], "dev"),
        ({"source": "mlaad", "shares": {"train": 0.5, "dev": 0.2}}, ["train", "dev", "eval"], "train"),
    ],
)
def test_the_layout_and_the_study_say_which_sets_there_are(values, sets, reference):
    corpus = Corpus(root="x", **values)
    assert (corpus.available, corpus.reference) == (sets, reference)


def test_what_has_no_effect_decides_nothing():
    corpus = Corpus(source="asvspoof5", root="x")
    with_test = Corpus(source="asvspoof5", root="x", tests={"wild": Corpus(source="in_the_wild", root="y")})
    assert corpus.decisive() == with_test.decisive()
    assert not {"sets", "shares", "tests"} & set(corpus.decisive())
    assert Corpus(source="asvspoof5", root="x", sets=["eval"]).decisive()["sets"] == ["eval"]


def test_a_test_is_not_called_like_a_set():
    with pytest.raises(ValidationError, match="a test is called 'eval', which is a set"):
        Corpus(source="asvspoof5", root="x", tests={"eval": Corpus(source="had", root="y")})


def test_some_corpora_label_segments(tmp_path):
    (tmp_path / "with.csv").write_text("path;key;segments\na.wav;fake;0-1\n")
    (tmp_path / "without.csv").write_text("path,key\na.wav,fake\n")
    corpora = [("had", "x"), ("in_the_wild", "x"), ("manifest", "with.csv"), ("manifest", "without.csv")]
    labelled = [Corpus(source=source, root=root).is_labelled(tmp_path) for source, root in corpora]
    assert labelled == [True, False, True, False]
