import numpy as np
import pytest
import soundfile

from sslig.errors import CorpusError
from sslig.pipeline.check import check


@pytest.fixture
def corpus(tmp_path, rng):
    """A manifest of noise, louder in spoofs; a file is missing, and two sets share a speaker and samples."""
    rows, sets = ["path,key,split,speaker,attack"], ("train", "eval")
    for number in range(24):
        name, spoof = sets[number % 2], number % 4 > 1
        samples = rng.standard_normal(4_000) * (0.1 if spoof else 0.01)
        soundfile.write(tmp_path / f"{number}.flac", samples, 16_000)
        speaker = "both" if number < 2 else f"{name}{number % 3}"
        rows.append(f"{number}.flac,{'spoof' if spoof else 'bonafide'},{name},{speaker},{'A1' if spoof else ''}")
    samples, rate = soundfile.read(tmp_path / "3.flac")
    soundfile.write(tmp_path / "2.flac", samples, rate, compression_level=0.0)  # other bytes, the same samples
    (tmp_path / "23.flac").unlink()
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "all.csv"


def test_a_corpus_is_counted_and_its_faults_are_listed(corpus):
    tables = check(corpus, utterances=20)
    assert tables["counts"].to_numpy().tolist() == [
        ["train", "bonafide", 6, 4, 0, 0, 0],
        ["train", "spoof", 6, 3, 1, 0, 0],
        ["eval", "bonafide", 6, 4, 0, 0, 0],
        ["eval", "spoof", 6, 3, 1, 0, 1],
    ]
    assert tables["missing"].to_numpy().tolist() == [["eval", "23"]]
    shared = tables["shared"].set_index("kind")
    assert shared.loc["speaker"].tolist() == ["both", "train, eval", "0, 1"]
    assert shared.loc["samples", ["sets", "utterances"]].tolist() == ["train, eval", "2, 3"]
    first = tables["separation"].groupby("set").first()
    assert np.allclose(first["eer"], 0)
    level = tables["separation"].set_index(["set", "measure"]).loc[("train", "level_dbfs")]
    assert (level["eer"], level["larger_in"]) == (0, "spoof")


def test_a_class_that_a_set_lacks_counts_as_nothing_and_measures_may_be_left_out(tmp_path, rng):
    soundfile.write(tmp_path / "a.wav", rng.standard_normal(160) / 10, 16_000)
    (tmp_path / "all.csv").write_text("path,key\na.wav,spoof\n")
    tables = check(tmp_path / "all.csv", utterances=0)
    assert tables["counts"]["utterances"].tolist() == [0, 1]
    assert tables["separation"].empty
    with pytest.raises(CorpusError, match="no known layout"):
        check(tmp_path)
