from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslig.audio import frame_levels_db, speech_bounds
from sslig.corpora import recordings
from sslig.corpora.spoofs import pitch_track
from sslig.errors import AudioError, CorpusError

SPEECH = recordings.synthetic(1, 1)[0].sound()


@pytest.fixture
def folder(tmp_path):
    for speaker in ("anna", "ben", "cleo"):
        (tmp_path / speaker / "day1").mkdir(parents=True)
        for number in (1, 2):
            soundfile.write(tmp_path / speaker / "day1" / f"{number}.wav", SPEECH, 16_000)
    return tmp_path


def test_each_sub_folder_is_a_speaker(folder):
    read = recordings.folder(folder)
    assert [recording.id for recording in read][:2] == ["anna/day1/1.wav", "anna/day1/2.wav"]
    assert {recording.speaker for recording in read} == {"anna", "ben", "cleo"}
    assert read[0].sound() == pytest.approx(SPEECH, abs=1e-4)
    assert read[0].transcript is None


def test_transcripts_come_from_a_table_or_from_beside_the_file(folder):
    (folder / "transcripts.tsv").write_text("anna/day1/1.wav\tGood morning.\nben/day1/1\tGood night.\n")
    (folder / "cleo" / "day1" / "2.txt").write_text("Good\n day.\n")
    texts = {recording.id: recording.transcript for recording in recordings.folder(folder) if recording.transcript}
    assert texts == {
        "anna/day1/1.wav": "Good morning.",
        "ben/day1/1.wav": "Good night.",
        "cleo/day1/2.wav": "Good day.",
    }


def test_speakers_who_do_not_speak_english_get_no_text_to_speech(folder):
    (folder / "speakers.tsv").write_text("anna\tF\tcs\n")
    (folder / "transcripts.tsv").write_text("anna/day1/1.wav\tDobrý den.\nben/day1/1.wav\tGood night.\n")
    read = {recording.id: recording for recording in recordings.folder(folder)}
    assert read["anna/day1/1.wav"].gender == "F"
    assert read["anna/day1/1.wav"].transcript == "Dobrý den."
    assert read["anna/day1/1.wav"].english is None
    assert read["ben/day1/1.wav"].english == "Good night."


def test_too_few_speakers_are_named(folder):
    for path in sorted((folder / "cleo" / "day1").iterdir()):
        path.unlink()
    with pytest.raises(CorpusError, match=r"2 sub-folder\(s\).*anna, ben.*at least 3"):
        recordings.folder(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CorpusError, match="nowhere: no such folder"):
        recordings.folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("transcripts.tsv", "a.wav no tab\n", "transcripts.tsv, row 1: 1 tab-separated columns; 2 are needed"),
        ("speakers.tsv", "anna\tfemale\ten\n", "speakers.tsv, row 1: gender 'female' of anna; accepted: M, F, -"),
        ("speakers.tsv", "Anna\tF\ten\n", "speakers.tsv: no sub-folder 'Anna'; there are anna, ben, cleo"),
        ("anna/day1/1.txt", "Gr\xfc\xdfe".encode("latin-1"), r"1\.txt: not UTF-8 .*; save it as UTF-8"),
    ],
)
def test_a_faulty_table_is_named(folder, name, text, message):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CorpusError, match=message):
        recordings.folder(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_of_editors_with_a_byte_order_mark_lose_no_row(folder, encoding):
    (folder / "transcripts.tsv").write_bytes("anna/day1/1.wav\tGood morning.\r\n".encode(encoding))
    (folder / "speakers.tsv").write_bytes("anna\tF\ten\r\n".encode(encoding))
    first = recordings.folder(folder)[0]
    assert (first.gender, first.transcript) == ("F", "Good morning.")


def test_the_content_of_a_file_decides_whether_it_is_a_recording(folder):
    sound = (folder / "anna" / "day1" / "1.wav").read_bytes()
    others = {"voice.m4a": sound, "take": sound, "x.raw": b"\0" * 64_000, "notes.pdf": b"%PDF", "._1.wav": b"\0\5\x16"}
    for name, content in others.items():
        (folder / "ben" / "day1" / name).write_bytes(content)
    names = [Path(recording.id).name for recording in recordings.folder(folder) if recording.speaker == "ben"]
    assert names == ["1.wav", "2.wav", "take", "voice.m4a"]
    (folder / "ben" / "day1" / "memo.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + b"\0" * 1000)
    with pytest.raises(AudioError, match=r"memo\.m4a: not a sound file"):
        recordings.folder(folder)


def test_long_recordings_are_cut_at_pauses(folder):
    pause = np.zeros(4000, dtype=np.float32)
    long = np.concatenate([SPEECH, pause] * 8)
    soundfile.write(folder / "anna" / "long.wav", long, 16_000)
    clips = [recording for recording in recordings.folder(folder) if recording.id.startswith("anna/long.wav#")]
    sounds = [recording.sound() for recording in clips]
    assert len(clips) >= 2
    assert all(1.5 <= len(sound) / 16_000 <= 8 for sound in sounds)
    assert all(np.abs(sound[-160:]).max() < 0.05 for sound in sounds[:-1])
    assert len({repr(recording.sound) for recording in clips}) == len(clips)


def test_a_recording_without_a_pause_is_cut_at_its_quietest():
    noise = np.random.default_rng(0).standard_normal(16_000 * 10)
    noise[16_000 * 5 : 16_000 * 5 + 800] *= 0.2
    assert recordings.cut(noise)[0][1] / 16_000 == pytest.approx(5.02, abs=0.05)


def test_silence_gives_no_clip():
    assert recordings.cut(np.zeros(16_000 * 10)) == []


def test_speakers_are_dealt_over_the_sets():
    dealt = recordings.deal(recordings.synthetic(6, 1))
    assert sorted(dealt.values()) == ["dev", "dev", "eval", "eval", "train", "train"]


RECORDINGS = recordings.synthetic(n_speakers=4, per_speaker=2)


def test_each_speaker_has_its_recordings_and_a_gender():
    assert len({recording.id for recording in RECORDINGS}) == 8
    assert [recording.gender for recording in RECORDINGS[::2]] == ["M", "F", "M", "F"]


def test_the_seed_decides_every_sample():
    again, other = recordings.synthetic(4, 2), recordings.synthetic(4, 2, seed=1)
    assert np.array_equal(RECORDINGS[0].sound(), again[0].sound())
    assert not np.array_equal(RECORDINGS[0].sound()[:8000], other[0].sound()[:8000])


@pytest.mark.parametrize("recording", RECORDINGS[::2], ids=lambda recording: recording.speaker)
def test_a_recording_has_the_pitch_of_its_speaker(recording):
    pitch_hz, strength = pitch_track(recording.sound())
    assert (strength > 0.5).mean() > 0.3
    assert np.median(pitch_hz[strength > 0.5]) == pytest.approx(recording.sound.voice.pitch_hz, rel=0.2)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.id)
def test_a_recording_has_speech_between_silences(recording):
    samples = recording.sound()
    start, stop = speech_bounds(samples)
    assert samples.dtype == np.float32
    assert 1.5 <= len(samples) / 16_000 < 6
    assert np.abs(samples).max() < 0.6
    assert start > 800
    assert stop < len(samples) - 800
    assert frame_levels_db(samples).min() < -35
