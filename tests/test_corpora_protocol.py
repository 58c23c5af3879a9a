import pandas as pd
import pytest

from sslig import audio
from sslig.corpora import protocol
from sslig.corpora.protocol import draw, shard_of, stratified
from sslig.errors import CorpusError, InputError
from sslig.labels import BONAFIDE, SPOOF

BONAFIDE_LINE = "E_1607 E_0000000001 M - - - - bonafide bonafide -"
SPOOF_LINE = "E_1607 E_0009538969 M C05 2 E_0009486171 AC1 A26 spoof -"


@pytest.fixture
def written(tmp_path):
    """Writes lines (text or bytes) as a protocol."""

    def write(*lines):
        path = tmp_path / "protocol.tsv"
        path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
        return path

    return write


def test_a_protocol_is_a_table_with_labels(written):
    table = protocol.read(written(BONAFIDE_LINE, SPOOF_LINE))
    assert list(table.columns) == [*protocol.COLUMNS, "label"]
    assert list(table["label"]) == [BONAFIDE, SPOOF]
    spoof = table.iloc[1]
    assert spoof[["utterance", "codec", "codec_q", "attack"]].tolist() == ["E_0009538969", "C05", "2", "A26"]


def test_what_is_written_comes_back(written, tmp_path):
    table = protocol.read(written(BONAFIDE_LINE, SPOOF_LINE))
    protocol.write(tmp_path / "copy.tsv", table)
    # A release may call the attack of bona fide utterances bonafide, which is no attack.
    bonafide = "E_1607 E_0000000001 M - - - - - bonafide -"
    assert (tmp_path / "copy.tsv").read_text() == f"{bonafide}\n{SPOOF_LINE}\n"
    pd.testing.assert_frame_equal(protocol.read(tmp_path / "copy.tsv"), table)


@pytest.mark.parametrize("speaker", ["two words", "", None])
def test_a_value_that_would_shift_the_columns_is_not_written(written, tmp_path, speaker):
    table = protocol.read(written(BONAFIDE_LINE)).assign(speaker=speaker)
    with pytest.raises(CorpusError, match=r"copy\.tsv: speaker .* in row 0; one word is needed"):
        protocol.write(tmp_path / "copy.tsv", table)


def test_a_coded_trial_shares_the_recording_of_its_original(written, tmp_path):
    original = "E_1607 E_0009486171 M - - - AC1 A26 spoof -"
    table = protocol.read(written(BONAFIDE_LINE, SPOOF_LINE, original))
    expected = ["E_0000000001", "E_0009486171", "E_0009486171"]
    assert protocol.with_recordings(tmp_path, table)["recording"].tolist() == expected
    # Tables of scores lack the column; the protocols of the corpus know the originals.
    protocol.write(tmp_path / protocol.SETS["eval"][0], table)
    scores = table[["utterance"]]
    assert protocol.with_recordings(tmp_path, scores)["recording"].tolist() == expected


def test_recordings_come_from_the_table_of_the_corpus(written, tmp_path):
    table = protocol.read(written(BONAFIDE_LINE, SPOOF_LINE))
    (tmp_path / "recordings.tsv").write_text("utterance\trecording\nE_0000000001\ta\nE_0009538969\tb\n")
    assert protocol.with_recordings(tmp_path, table)["recording"].tolist() == ["a", "b"]
    (tmp_path / "recordings.tsv").write_text("utterance\trecording\nE_0000000001\ta\n")
    with pytest.raises(CorpusError, match="no recording for 1 utterances, the first is E_0009538969"):
        protocol.with_recordings(tmp_path, table)


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_do_no_harm(written):
    table = protocol.read(written(b"\xef\xbb\xbf" + BONAFIDE_LINE.encode() + b"\r", "", SPOOF_LINE))
    assert list(table["speaker"]) == ["E_1607", "E_1607"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("E_1607 E_2 M - - - bonafide bonafide -", "line 2: 9 columns; an ASVspoof 5 protocol has 10"),
        ("E_1607 E_2 M - - - - - genuine -", "line 2: key 'genuine' of E_2; accepted: bonafide, spoof"),
        (BONAFIDE_LINE, "line 2: utterance E_0000000001 already stands in line 1"),
        ("E_1607 ../etc/passwd M - - - - - spoof -", "line 2: utterance '../etc/passwd' is not a plain file name"),
        ("E_1607 .. M - - - - - spoof -", r"line 2: utterance '\.\.' is not a plain"),
        ("E_1607 a\\b M - - - - - spoof -", "line 2: utterance .* is not a plain"),
        ("E_1607 a\x00b M - - - - - spoof -", "line 2: utterance .* is not a plain"),
        ("E_1607\u00a0E_2 M - - - - - spoof -", "line 2: 9 columns"),
        (b"E_1607 \xff\xfe M - - - - - spoof -", "line 2: not UTF-8"),
    ],
)
def test_a_faulty_line_is_named(written, line, message):
    with pytest.raises(CorpusError, match=rf"protocol\.tsv, {message}"):
        protocol.read(written(BONAFIDE_LINE, line))


def test_an_empty_or_missing_protocol(written, tmp_path):
    with pytest.raises(CorpusError, match=r"protocol\.tsv: the protocol is empty"):
        protocol.read(written("", "  "))
    with pytest.raises(CorpusError, match=r"gone\.tsv: no such protocol file"):
        protocol.read(tmp_path / "gone.tsv")


class TestCorpus:
    @pytest.fixture
    def corpus(self, tmp_path, tone):
        """A training set of two utterances in the ASVspoof 5 layout."""
        (tmp_path / "ASVspoof5.train.tsv").write_text(f"{BONAFIDE_LINE}\n{SPOOF_LINE}\n")
        for utterance in ("E_0000000001", "E_0009538969"):
            audio.write_flac(tmp_path / "flac_T" / f"{utterance}.flac", tone)
        return tmp_path

    def test_a_set_knows_the_paths_of_its_recordings(self, corpus):
        table = protocol.load_set(corpus, "train")
        assert [audio.n_samples(path) for path in table["path"]] == [16_000, 16_000]

    def test_missing_recordings_are_counted_and_named(self, corpus):
        (corpus / "flac_T" / "E_0009538969.flac").unlink()
        with pytest.raises(CorpusError, match=r"flac_T: 1 of 2 sound files .* missing: E_0009538969\.flac$"):
            protocol.load_set(corpus, "train")

    def test_a_missing_folder_is_all_recordings_missing(self, corpus):
        (corpus / "flac_T").rename(corpus / "flac")
        with pytest.raises(CorpusError, match="2 of 2 sound files"):
            protocol.load_set(corpus, "train")

    def test_unknown_sets_are_refused(self, corpus):
        with pytest.raises(CorpusError, match="unknown set 'test'; a corpus has train, dev, eval"):
            protocol.load_set(corpus, "test")


@pytest.fixture
def trials():
    """20 bona fide and 40 spoofs: 30 by A01, 8 by A02, 2 by A03."""
    attacks = ["-"] * 20 + ["A01"] * 30 + ["A02"] * 8 + ["A03"] * 2
    keys = ["bonafide" if attack == "-" else "spoof" for attack in attacks]
    names = [f"E_{number:04d}" for number in range(60)]
    return pd.DataFrame({"utterance": names, "key": keys, "attack": attacks})


def counts(table):
    return table["attack"].value_counts().to_dict()


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (6, {"-": 3, "A01": 1, "A02": 1, "A03": 1}),
        (12, {"-": 6, "A01": 2, "A02": 2, "A03": 2}),
        (20, {"-": 10, "A01": 4, "A02": 4, "A03": 2}),
        (40, {"-": 20, "A01": 10, "A02": 8, "A03": 2}),
        (100, {"-": 20, "A01": 30, "A02": 8, "A03": 2}),
    ],
)
def test_classes_and_attacks_are_even_as_far_as_they_reach(trials, n, expected):
    assert counts(stratified(trials, n, seed=0)) == expected


def test_a_class_that_is_short_is_taken_whole(trials):
    few = trials[(trials["key"] == "spoof") | (trials["utterance"] < "E_0002")]
    assert counts(stratified(few, 12, seed=0)) == {"-": 2, "A01": 2, "A02": 2, "A03": 2}


@pytest.mark.parametrize("sample", [draw, stratified])
def test_the_seed_decides_and_the_order_of_the_rows_does_not(trials, sample):
    drawn = sample(trials, 12, seed=0)
    assert drawn["utterance"].tolist() == sorted(set(drawn["utterance"]))
    assert len(drawn) == 12
    pd.testing.assert_frame_equal(sample(trials.sample(frac=1, random_state=1), 12, seed=0), drawn)
    assert not sample(trials, 12, seed=1).equals(drawn)


def test_draws_stay_the_same_from_release_to_release(trials):
    assert draw(trials, 4, seed=0)["utterance"].tolist() == ["E_0016", "E_0030", "E_0036", "E_0048"]
    even = ["E_0004", "E_0006", "E_0019", "E_0042", "E_0053", "E_0058"]
    assert stratified(trials, 6, seed=0)["utterance"].tolist() == even


@pytest.mark.parametrize("n", [None, 60, 1_000])
def test_all_are_drawn_where_there_are_no_more(trials, n):
    pd.testing.assert_frame_equal(draw(trials.iloc[::-1], n, seed=0), trials)


def test_shards_share_no_row_and_lack_none(trials):
    shards = [shard_of(trials, f"{number}of4") for number in range(4)]
    assert shards[1]["utterance"].tolist()[:2] == ["E_0001", "E_0005"]
    whole = pd.concat(shards).sort_values("utterance").reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, trials)
    pd.testing.assert_frame_equal(shard_of(trials, "0of1"), trials)


@pytest.mark.parametrize("shard", ["4of4", "1", "-1of4", "0of0"])
def test_a_faulty_shard_is_refused(trials, shard):
    with pytest.raises(InputError, match="accepted: 0of4"):
        shard_of(trials, shard)
