import io

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.corpora import protocol, readers
from sslig.errors import CorpusError
from sslig.sources import LAYOUTS, Corpus


def lines(*texts):
    return "".join(f"{text}\n" for text in texts)


def npy(values):
    """A dictionary of arrays as NumPy saves it: pickled."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def sounds(root, *names):
    for name in names:
        audio.write_flac(root / name, np.full(160, 0.1))


def write(root, tables, names):
    for name, content in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    sounds(root, *names)
    return root


def asvspoof5(root):
    rows = {
        "train": "T_1 T_01 F - - - - bonafide bonafide -\nT_1 T_02 F - - - AC1 A05 spoof -\n",
        "dev": "D_1 D_01 M - - - - bonafide bonafide -\nD_1 D_02 M - - - AC1 A11 spoof -\n",
        "eval": "E_1 E_01 M - - - - bonafide bonafide -\nE_1 E_02 M C05 2 E_01 AC1 A26 spoof -\n",
    }
    tables = {f"ASVspoof5_protocols/{protocol.SETS[name][0]}": text for name, text in rows.items()}
    names = [f"{folder}/{name[0].upper()}_0{n}.flac" for name, (_, folder) in protocol.SETS.items() for n in (1, 2)]
    return write(root, tables, names)


def asvspoof2019_la(root):
    folder, tables, names = "LA/ASVspoof2019_LA_cm_protocols", {}, []
    for set_name, ending in (("train", "trn"), ("dev", "trl"), ("eval", "trl")):
        initial = set_name[0].upper()
        rows = [f"LA_0079 LA_{initial}_1 - - bonafide", f"LA_0080 LA_{initial}_2 - A07 spoof"]
        tables[f"{folder}/ASVspoof2019.LA.cm.{set_name}.{ending}.txt"] = lines(*rows)
        names += [f"LA/ASVspoof2019_LA_{set_name}/flac/LA_{initial}_{number}.flac" for number in (1, 2)]
    return write(root, tables, names)


def asvspoof2021_la(root):
    rows = lines(
        "LA_0009 LA_E_1 alaw ita_tx bonafide bonafide notrim progress",
        "LA_0009 LA_E_2 none - A07 spoof notrim eval",
        "LA_0010 LA_E_3 none - bonafide bonafide notrim eval",
        "LA_0010 LA_E_4 none - bonafide bonafide trim hidden",
    )
    names = [f"ASVspoof2021_LA_eval/flac/LA_E_{number}.flac" for number in range(1, 4)]
    return write(root, {"keys/LA/CM/trial_metadata.txt": rows}, names)


def asvspoof2021_df(root):
    rows = lines(
        "LA_0023 DF_E_1 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -",
        "TEF2 DF_E_2 low_mp3 vcc2020 Task1-team20 spoof notrim eval neural_vocoder_nonautoregressive Task1 team20 FF E",
        "LA_0042 DF_E_3 nocodec asvspoof bonafide bonafide notrim eval bonafide - - - -",
    )
    names = [f"ASVspoof2021_DF_eval/flac/DF_E_{number}.flac" for number in range(1, 4)]
    return write(root, {"keys/DF/CM/trial_metadata.txt": rows}, names)


def in_the_wild(root):
    rows = lines(
        "file,speaker,label", "0.wav,Alec Guinness,spoof", "1.wav,Alec Guinness,bona-fide", "2.wav,Ayn Rand,spoof"
    )
    return write(root, {"meta.csv": rows}, ["0.wav", "1.wav", "2.wav"])


def mlaad(root):
    book = "en_US/by_book/female/judy_bieber/dorothy/wavs/one.wav"
    meta = lines("path|original_file|language|model_name", f"./fake/en/vits/a.wav|./{book}|en|tts/vits")
    names = ["MLAAD/fake/en/vits/a.wav", "MLAAD/fake/de/griffin_lim/a.wav", f"M-AILABS/{book}"]
    return write(root, {"MLAAD/fake/en/vits/meta.csv": meta}, names)


def wavefake(root):
    names = ["ljspeech_melgan/LJ001-0001_gen.wav", "ljspeech_hifiGAN/LJ001-0001_generated.wav"]
    return write(root, {}, [*names, "jsut_multi_band_melgan/B_1_gen.wav", "LJSpeech-1.1/wavs/LJ001-0001.wav"])


def fake_or_real(root):
    sets = ("training", "validation", "testing")
    return write(root, {}, [f"for-norm/{name}/{key}/file1.wav" for name in sets for key in ("fake", "real")])


def partialspoof(root):
    labels = {"LA_T_1": np.array(["1", "1", "1"]), "CON_T_1": np.array(["1", "0", "0", "1", "0"])}
    rows = lines("LA_0079 LA_T_1 - - bonafide", "LA_0079 CON_T_1 - CON spoof")
    tables = {
        "database/protocols/PartialSpoof_LA_cm_protocols/PartialSpoof.LA.cm.train.trl.txt": rows,
        "database/segment_labels/train_seglab_0.01.npy": npy(labels),
        "database/segment_labels/train_seglab_0.64.npy": npy({}),
    }
    return write(root, tables, ["database/train/con_wav/LA_T_1.wav", "database/train/con_wav/CON_T_1.wav"])


def had(root):
    rows = lines("HAD_train_fake_1 0.00-3.16-T/3.16-3.84-F/3.84-4.42-T 0", "HAD_train_real_1 0.00-4.42-T 1")
    names = [f"HAD_train/train/conbine/HAD_train_{key}_1.wav" for key in ("fake", "real")]
    return write(root, {"HAD_train/HAD_train_label.txt": rows}, names)


def manifest(root):
    rows = lines("path;key;split;attack;segments", "a/x.flac;Real;train;;", "a/y.flac;fake;test;vits;0.5-1.2 2-2.5")
    return write(root, {"mine.csv": "\ufeff" + rows}, ["a/x.flac", "a/y.flac"]) / "mine.csv"


RELEASES = {
    function.__name__: function
    for function in (asvspoof5, asvspoof2019_la, asvspoof2021_la, asvspoof2021_df, in_the_wild, mlaad, wavefake)
} | {function.__name__: function for function in (fake_or_real, partialspoof, had, manifest)}

EXPECTED = {
    # set, key -> utterances
    "asvspoof5": {(name, key): 1 for name in protocol.SETS for key in ("bonafide", "spoof")},
    "asvspoof2019_la": {(name, key): 1 for name in protocol.SETS for key in ("bonafide", "spoof")},
    "asvspoof2021_la": {("dev", "bonafide"): 1, ("eval", "bonafide"): 1, ("eval", "spoof"): 1},
    "asvspoof2021_df": {("dev", "spoof"): 1, ("eval", "bonafide"): 1, ("eval", "spoof"): 1},
    "in_the_wild": {("eval", "bonafide"): 1, ("eval", "spoof"): 2},
    "mlaad": {("eval", "bonafide"): 1, ("eval", "spoof"): 2},
    "wavefake": {("eval", "bonafide"): 1, ("eval", "spoof"): 3},
    "fake_or_real": {(name, key): 1 for name in protocol.SETS for key in ("bonafide", "spoof")},
    "partialspoof": {("train", "bonafide"): 1, ("train", "spoof"): 1},
    "had": {("train", "bonafide"): 1, ("train", "spoof"): 1},
    "manifest": {("eval", "spoof"): 1, ("train", "bonafide"): 1},
}


@pytest.fixture
def release(tmp_path):
    """Makes a stand-in of a published corpus: its files, with a few utterances of 10 ms."""
    return lambda source: RELEASES[source](tmp_path)


def test_every_layout_of_a_study_has_a_reader():
    assert set(readers.READERS) == {"asvspoof5", *LAYOUTS} == set(EXPECTED)


@pytest.mark.parametrize("source", EXPECTED)
def test_a_release_becomes_one_table(release, source):
    root = release(source)
    assert readers.guess(root) == source
    table = readers.read(source, root).table
    assert table.groupby(["set", "key"]).size().to_dict() == EXPECTED[source]
    assert {*protocol.COLUMNS, "path", "label"} <= set(table)
    assert table["utterance"].is_unique
    assert [audio.n_samples(path) for path in table["path"]] == [160] * len(table)
    assert set(table.loc[table["key"] == "bonafide", "attack"]) <= {"-"}
    assert not table.loc[table["key"] == "spoof", "attack"].isin(["-", "bonafide"]).any()


def test_what_a_release_says_of_its_utterances_is_kept(tmp_path):
    by_name = {}
    for source in ("asvspoof2021_la", "asvspoof2021_df", "in_the_wild", "mlaad", "wavefake"):
        by_name[source] = readers.read(source, RELEASES[source](tmp_path / source)).table.set_index("utterance")
    assert by_name["asvspoof2021_la"].loc["LA_E_1", ["speaker", "codec"]].tolist() == ["LA_0009", "alaw"]
    assert by_name["asvspoof2021_df"].loc["DF_E_2", ["attack", "codec"]].tolist() == ["Task1-team20", "low_mp3"]
    assert by_name["asvspoof2021_df"].loc["DF_E_3", "codec"] == "-"
    assert by_name["in_the_wild"].loc["0", ["speaker", "attack"]].tolist() == ["Alec Guinness", "unknown"]
    names = ["MLAAD__fake__en__vits__a", "M-AILABS__en_US__by_book__female__judy_bieber__dorothy__wavs__one"]
    spoken, original = (by_name["mlaad"].loc[name] for name in names)
    assert spoken["recording"] == original["recording"] != ""
    assert (spoken["attack"], spoken["language"], original["speaker"]) == ("vits", "en", "judy_bieber")
    english = by_name["wavefake"].query("language == 'en'")
    assert set(english["recording"]) == {"LJ001-0001"}
    assert set(english["attack"]) == {"-", "melgan", "hifiGAN"}


def test_labels_of_segments_become_places_in_seconds(release, tmp_path):
    places = readers.read("partialspoof", release("partialspoof")).places
    expected = [["CON_T_1", 0.01, 0.03], ["CON_T_1", 0.04, 0.05]]
    pd.testing.assert_frame_equal(places, pd.DataFrame(expected, columns=["utterance", "start_s", "end_s"]))
    assert readers.read("had", had(tmp_path / "had")).places.to_numpy().tolist() == [["HAD_train_fake_1", 3.16, 3.84]]
    listed = readers.read("manifest", manifest(tmp_path / "own")).places
    assert listed.to_numpy().tolist() == [["y", 0.5, 1.2], ["y", 2.0, 2.5]]


def test_segment_labels_that_could_run_code_are_refused(release):
    root = release("partialspoof")
    path = root / "database/segment_labels/train_seglab_0.01.npy"

    class Harmful:
        def __reduce__(self):
            return print, ("code of the file runs",)

    path.write_bytes(npy({"LA_T_1": Harmful()}))
    with pytest.raises(CorpusError, match=r"train_seglab_0\.01\.npy: a pickle that names builtins\.print"):
        readers.read("partialspoof", root)


def test_manifests_of_the_sets_are_written_and_loaded(release, tmp_path):
    root = release("asvspoof2019_la")
    corpus = Corpus(source="asvspoof2019_la", root=str(root), sets=["train", "eval"])
    readers.write(corpus, root, tmp_path / "tables", tmp_path / "study.yaml")
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == ["eval.tsv", "train.tsv"]
    table = protocol.load_set(tmp_path / "tables", "eval")
    assert table[["utterance", "speaker", "attack", "key", "label"]].to_numpy().tolist() == [
        ["LA_E_1", "LA_0079", "-", "bonafide", 0],
        ["LA_E_2", "LA_0080", "A07", "spoof", 1],
    ]
    assert audio.n_samples(table["path"].iloc[0]) == 160


def test_speakers_are_dealt_to_sets_and_never_shared(tmp_path):
    n = np.arange(400)
    table = pd.DataFrame({"utterance": n.astype(str), "speaker": (n % 40).astype(str), "set": "eval"})
    sets = readers.dealt(table, {"train": 0.5, "dev": 0.2}, seed=3)
    assert sets["set"].value_counts().to_dict() == {"train": 200, "eval": 120, "dev": 80}
    assert (sets.groupby("speaker")["set"].nunique() == 1).all()
    # A single speaker says every sentence of WaveFake in several voices: the sentence is what sets must not share.
    table = table.assign(speaker="LJSpeech", recording=(n // 4).astype(str))
    sets = readers.dealt(table, {"dev": 0.25}, seed=3)
    assert sets["set"].value_counts().to_dict() == {"eval": 300, "dev": 100}
    assert (sets.groupby("recording")["set"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("source", "spoil", "message"),
    [
        ("in_the_wild", lambda root: (root / "0.wav").unlink(), "1 of 3 sound files are missing; the first is 0"),
        ("in_the_wild", lambda root: (root / "meta.csv").write_text("a,b\n"), r"meta\.csv: no column 'file'"),
        ("in_the_wild", lambda root: (root / "meta.csv").unlink(), r"meta\.csv: no such table"),
        ("asvspoof2021_la", lambda root: (root / "keys").rename(root / "LA-keys"), None),
        ("wavefake", lambda root: (root / "wavefake").mkdir(), None),
        ("fake_or_real", lambda root: sounds(root, "for-2sec/testing/real/b.wav"), "versions for-2sec, for-norm"),
        (
            "had",
            lambda root: (root / "HAD_train/HAD_train_label.txt").write_text("a 0-1-X 0\n"),
            "stretches '0-1-X' of a",
        ),
        ("asvspoof2019_la", lambda root: next(root.rglob("*.trn.txt")).write_text("LA_1 x\n"), "line 1: 2 columns"),
    ],
)
def test_faults_of_a_release_are_named(release, tmp_path, source, spoil, message):
    root = release(source)
    spoil(root)
    corpus = Corpus(source=source, root=str(root))
    if message is None:
        readers.write(corpus, root, tmp_path / "tables", tmp_path / "study.yaml")
        return
    with pytest.raises(CorpusError, match=message):
        readers.write(corpus, root, tmp_path / "tables", tmp_path / "study.yaml")


def test_a_missing_set_a_missing_folder_and_an_unknown_layout_are_named(release, tmp_path):
    root = release("partialspoof")
    corpus = Corpus(source="partialspoof", root=str(root))
    with pytest.raises(CorpusError, match=r"no utterance in dev; set corpus.sets in .*study\.yaml"):
        readers.write(corpus, root, tmp_path / "tables", tmp_path / "study.yaml")
    with pytest.raises(CorpusError, match="gone: no such folder"):
        readers.read("had", tmp_path / "gone")
    with pytest.raises(CorpusError, match="no layout 'timit'; accepted: asvspoof5, "):
        readers.read("timit", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="no known layout"):
        readers.guess(tmp_path / "empty")
