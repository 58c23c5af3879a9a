import numpy as np
import pytest

from sslig.audio import frame_levels_db, speech_bounds
from sslig.corpora import synthetic
from sslig.corpora.spoofs import pitch_track

RECORDINGS = synthetic.recordings(n_speakers=4, per_speaker=2)


def test_each_speaker_has_its_recordings_and_a_gender():
    assert len({one.id for one in RECORDINGS}) == 8
    assert [one.gender for one in RECORDINGS[::2]] == ["M", "F", "M", "F"]


def test_the_seed_decides_every_sample():
    again, other = synthetic.recordings(4, 2), synthetic.recordings(4, 2, seed=1)
    assert np.array_equal(RECORDINGS[0].sound(), again[0].sound())
    assert not np.array_equal(RECORDINGS[0].sound()[:8000], other[0].sound()[:8000])


@pytest.mark.parametrize("one", RECORDINGS[::2], ids=lambda one: one.speaker)
def test_a_recording_has_the_pitch_of_its_speaker(one):
    pitch_hz, strength = pitch_track(one.sound())
    assert (strength > 0.5).mean() > 0.3
    assert np.median(pitch_hz[strength > 0.5]) == pytest.approx(one.sound.voice.pitch_hz, rel=0.2)


@pytest.mark.parametrize("one", RECORDINGS, ids=lambda one: one.id)
def test_a_recording_has_speech_between_silences(one):
    samples = one.sound()
    start, stop = speech_bounds(samples)
    assert samples.dtype == np.float32
    assert 1.5 <= len(samples) / 16_000 < 6
    assert np.abs(samples).max() < 0.6
    assert start > 800
    assert stop < len(samples) - 800
    assert frame_levels_db(samples).min() < -35
