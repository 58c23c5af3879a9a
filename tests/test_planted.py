"""A corpus of planted cues: twins that differ in the places of the truth only, and are alike in every plain measure."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.corpora import planted, protocol, synthetic
from sslig.corpora.building import CorpusError, finished
from sslig.corpora.planted import KINDS, Original, PlantedError, truth_mask
from sslig.frames import SSL_CLOCK
from sslig.stats.metrics import eer

ASKED_FOR = {"source": "planted:band", "of": []}
PER_SET = 4


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Four recordings of one voice in each set; the middle second of each may hold cues."""
    folder = tmp_path_factory.mktemp("originals")
    found = []
    for one in synthetic.recordings(n_speakers=3, per_speaker=PER_SET):
        number = int(one.speaker[-1]) - 1
        path, sound = folder / f"{one.id.replace('/', '_')}.flac", one.sound()
        audio.write_flac(path, sound)
        name = list(protocol.SETS)[number]
        found.append(Original(name, path.stem, one.speaker, one.gender, str(path), one.id, len(sound), ((0.2, 1.4),)))
    return found


def built(originals, root, kind="band", severity=None, seed=0, workers=1):
    severity = KINDS[kind].severity if severity is None else severity
    return planted.build(kind, originals, root, severity=severity, seed=seed, asked_for=ASKED_FOR, workers=workers)


@pytest.fixture(scope="module")
def corpus(originals, tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    built(originals, root)
    return root


def twins(root, set_name):
    """(bona fide samples, spoof samples, places of the spoof) of each recording of a set."""
    table = protocol.with_recordings(root, protocol.load_set(root, set_name))
    rows = dict(iter(planted.truth(root, set_name).groupby("utterance")))
    for _, pair in table.groupby("recording"):
        by_key = pair.set_index("key")
        yield (*(audio.read(by_key.loc[key, "path"]) for key in ("bonafide", "spoof")),
               rows[by_key.loc["spoof", "utterance"]])  # fmt: skip


def test_the_layout_is_that_of_asvspoof_5(corpus):
    for name in protocol.SETS:
        table = protocol.load_set(corpus, name)
        assert table["key"].value_counts().to_dict() == {"bonafide": PER_SET, "spoof": PER_SET}
        assert set(table["attack"]) == {"-", "band"}
        assert table["utterance"].is_monotonic_increasing


@pytest.mark.parametrize("kind", KINDS)
def test_twins_differ_in_the_places_only(kind, originals, tmp_path):
    built(originals, tmp_path, kind)
    for bonafide, spoof, places in twins(tmp_path, "eval"):
        within = np.zeros(len(bonafide), dtype=bool)
        for start_s, end_s in places[["start_s", "end_s"]].to_numpy():
            within[round(start_s * 16_000) : round(end_s * 16_000)] = True
        assert np.array_equal(bonafide[~within], spoof[~within])
        assert (bonafide[within] != spoof[within]).mean() > 0.5


def test_the_bona_fide_is_the_original_after_the_same_coding(corpus, originals):
    table = pd.read_csv(corpus / protocol.RECORDINGS, sep="\t").set_index("original")
    for one in originals:
        names = table.loc[[one.utterance], "utterance"]
        rows = protocol.load_set(corpus, one.set).set_index("utterance").loc[names]
        bonafide = audio.read(rows.loc[rows["key"] == "bonafide", "path"].iloc[0])
        assert np.abs(bonafide - audio.read(one.path)).max() <= 1.5 / 32768


def test_plain_measures_of_a_whole_recording_do_not_tell_the_classes(corpus):
    """Level, mean sample, length and what comes first and last; of whole sets, as a detector would use them."""
    pairs = [pair for name in protocol.SETS for pair in twins(corpus, name)]
    for measure in (len, np.std, lambda samples: abs(samples.mean()), lambda samples: samples[:1600].std()):
        bonafide, spoof = (np.array([measure(pair[place]) for pair in pairs], float) for place in (0, 1))
        assert 0.4 <= eer(bonafide, spoof) <= 0.6


def test_sets_share_no_recording(corpus):
    table = pd.read_csv(corpus / protocol.RECORDINGS, sep="\t")
    assert table.groupby("recording")["utterance"].agg(lambda names: names.str[0].nunique()).eq(1).all()
    assert table.groupby("recording").size().eq(2).all()


def test_only_spoofs_have_a_truth(corpus):
    for name in protocol.SETS:
        spoofs = protocol.load_set(corpus, name).query("key == 'spoof'")["utterance"]
        assert sorted(planted.truth(corpus, name)["utterance"].unique()) == sorted(spoofs)


def test_workers_and_an_interruption_change_nothing(originals, corpus, tmp_path):
    built(originals, tmp_path, workers=2)
    (tmp_path / "corpus.json").rename(tmp_path / "building.json")
    next((tmp_path / "flac_T").iterdir()).unlink()
    built(originals, tmp_path)
    files = {path.relative_to(corpus): path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_another_severity_is_another_corpus(originals, corpus, tmp_path):
    first, second = (built(originals, tmp_path, severity=severity) for severity in (20.0, 6.0))
    assert first["fingerprint"] != second["fingerprint"]
    assert second["severity"] == 6.0
    kept = {path.name: path.read_bytes() for path in (corpus / "flac_E_eval").iterdir()}
    made = {path.name: path.read_bytes() for path in (tmp_path / "flac_E_eval").iterdir()}
    assert sum(kept[name] != made[name] for name in kept) == PER_SET  # the spoofs


def test_what_was_asked_for_is_remembered(corpus):
    assert finished(corpus, ASKED_FOR)["kind"] == "band"
    assert finished(corpus, ASKED_FOR | {"of": ["another"]}) is None


def test_recordings_without_room_are_left_out_of_both_classes(originals, tmp_path):
    made = built([replace(originals[0], stretches_s=()), *originals[1:]], tmp_path)
    assert made["without_room"] == {"train": 1, "dev": 0, "eval": 0}
    assert made["counts"]["train"] == {"bonafide": PER_SET - 1, "spoof": PER_SET - 1}


def test_a_folder_of_someone_else_is_left_alone(originals, tmp_path):
    (tmp_path / "flac_T").mkdir()
    with pytest.raises(CorpusError, match=r"no corpus\.json"):
        built(originals, tmp_path)


def test_a_frame_is_true_that_sees_a_sample_of_a_place():
    rows = pd.DataFrame({"start_s": [400 / 16_000, 2_000 / 16_000], "end_s": [401 / 16_000, 2_960 / 16_000]})
    # Frame t sees samples 320 t to 320 t + 399: sample 400 is past frame 0, and sample 2000 past frame 5.
    assert np.flatnonzero(truth_mask(rows, SSL_CLOCK, 12)).tolist() == [1, 6, 7, 8, 9]
    assert not truth_mask(rows.head(0), SSL_CLOCK, 12).any()


def test_a_corpus_without_truth_says_so(tmp_path):
    with pytest.raises(PlantedError, match=r"places\.tsv: no such file; it lies in a corpus of planted cues"):
        planted.truth(tmp_path, "eval")
