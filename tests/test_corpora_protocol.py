import pandas as pd
import pytest

from sslig import audio
from sslig.corpora import protocol
from sslig.errors import CorpusError
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
    assert (spoof["utterance"], spoof["codec"], spoof["codec_q"], spoof["attack"]) == (
        "E_0009538969",
        "C05",
        "2",
        "A26",
    )


def test_what_is_written_comes_back(written, tmp_path):
    table = protocol.read(written(BONAFIDE_LINE, SPOOF_LINE))
    protocol.write(tmp_path / "copy.tsv", table)
    assert (tmp_path / "copy.tsv").read_text() == f"{BONAFIDE_LINE}\n{SPOOF_LINE}\n"
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
        ("E_1607 E_2 M - - - - - - genuine -", "line 2: 11 columns"),
        ("E_1607 E_2 M - - - - - genuine -", "line 2: key 'genuine' of E_2; accepted: bonafide, spoof"),
        (BONAFIDE_LINE, "line 2: utterance E_0000000001 already stands in line 1"),
        (
            "E_1607 ../../etc/passwd M - - - - - spoof -",
            "line 2: utterance '../../etc/passwd' is not a plain file name",
        ),
        ("E_1607 /etc/passwd M - - - - - spoof -", "line 2: utterance '/etc/passwd' is not a plain"),
        ("E_1607 .. M - - - - - spoof -", r"line 2: utterance '\.\.' is not a plain"),
        ("E_1607 a\\b M - - - - - spoof -", "line 2: utterance .* is not a plain"),
        (b"E_1607 \xff\xfe M - - - - - spoof -", "line 2: not UTF-8"),
    ],
)
def test_a_faulty_line_is_named(written, line, message):
    with pytest.raises(CorpusError, match=rf"protocol\.tsv, {message}"):
        protocol.read(written(BONAFIDE_LINE, line))


def test_an_empty_protocol(written):
    with pytest.raises(CorpusError, match=r"protocol\.tsv: the protocol is empty"):
        protocol.read(written("", "  "))


def test_a_missing_protocol(tmp_path):
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
