import io
import warnings

import av
import numpy as np
import pytest
import soundfile

from sslig import audio
from sslig.errors import AudioError

PCM_STEP = 1 / 32_768


@pytest.fixture
def flac(tmp_path, tone):
    audio.write_flac(tmp_path / "tone.flac", tone)
    return tmp_path / "tone.flac"


@pytest.fixture
def wav(tmp_path):
    """Writes a WAV of 32-bit floats, which holds any value as it is."""

    def write(samples, rate=16_000):
        soundfile.write(tmp_path / "sound.wav", samples, rate, subtype="FLOAT")
        return tmp_path / "sound.wav"

    return write


def test_flac_comes_back_within_a_quantisation_step(flac, tone):
    samples = audio.read(flac)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, tone, atol=PCM_STEP)
    assert audio.n_samples(flac) == len(tone)
    assert soundfile.info(flac).subtype == "PCM_16"


@pytest.mark.parametrize(("start", "length"), [(0, 100), (5000, 320), (15_900, 400), (16_000, 10), (20_000, 1), (3, 0)])
def test_a_window_is_the_slice_of_the_whole(flac, start, length):
    np.testing.assert_array_equal(audio.read(flac, start, length), audio.read(flac)[start : start + length])


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_window_is_the_slice_of_the_whole_at_other_rates(wav, rng, rate):
    path = wav(rng.normal(size=rate // 2).astype(np.float32) / 10, rate)
    whole = audio.read(path)
    np.testing.assert_array_equal(audio.read(path, 1234, 777), whole[1234 : 1234 + 777])
    np.testing.assert_array_equal(audio.read(path, 1234), whole[1234:])


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000])
def test_the_header_gives_the_number_of_samples(wav, rate):
    for frames in (3, 100, 1000, 1001, 1003):
        path = wav(np.zeros(frames), rate)
        assert audio.n_samples(path) == len(audio.read(path))


def test_a_tone_at_8_khz_is_the_same_tone_at_16_khz(wav, tone):
    path = wav(0.5 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000), 8_000)
    inner = slice(1000, -1000)  # without the ends, where the resampler rings
    np.testing.assert_allclose(audio.read(path)[inner], tone[inner], atol=1e-3)


def test_channels_are_averaged(wav, tone):
    np.testing.assert_allclose(audio.read(wav(np.stack([tone, -tone / 2], axis=1))), tone / 4, atol=1e-7)


@pytest.mark.parametrize("read", [audio.read, audio.n_samples])
def test_a_faulty_file_is_named(tmp_path, wav, read):
    (tmp_path / "void.flac").touch()
    (tmp_path / "text.flac").write_text("this is a text, whatever its name says")
    wav(np.zeros(0))
    faults = {
        "gone.flac": "no such file",
        "void.flac": "the file is empty",
        "text.flac": "not a sound file",
        "sound.wav": "holds no samples",
    }
    for name, fault in faults.items():
        with pytest.raises(AudioError, match=f"{name}: {fault}"):
            read(tmp_path / name)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_flac(tmp_path, rng, kept):
    path = tmp_path / "cut.flac"
    audio.write_flac(path, rng.normal(size=48_000) / 10)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(AudioError, match=r"cut\.flac: .*truncated"):
        audio.read(path)


def coded(samples, form, subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=form, subtype=subtype)
    return file.getvalue()


def muxed(path, samples, codec, container, **options):
    """Write (samples,) at 16 kHz with FFmpeg."""
    with av.open(str(path), "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        for part in (frame, None):
            out.mux(stream.encode(part))
    return path


@pytest.fixture
def noise(rng):
    return (0.1 * rng.standard_normal(48_000)).astype(np.float32)


def test_a_flac_stream_without_a_length_is_read_whole(tmp_path, noise):
    content = bytearray(coded(noise, "FLAC"))
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # STREAMINFO: the number of samples is unknown
    (tmp_path / "stream.flac").write_bytes(content)
    np.testing.assert_allclose(audio.read(tmp_path / "stream.flac"), noise, atol=PCM_STEP)
    assert audio.n_samples(tmp_path / "stream.flac") == len(noise)
    assert len(audio.read(tmp_path / "stream.flac", 100, 50)) == 50
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=r"cut\.flac: truncated or damaged"):
        audio.read(tmp_path / "cut.flac")


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [("libmp3lame", "mp3", {"write_xing": "0"}), ("aac", "mp4", {}), ("libopus", "webm", {}), ("aac", "adts", {})],
)
def test_what_libsndfile_cannot_count_is_read_whole_under_any_name(tmp_path, noise, codec, container, options):
    path = muxed(tmp_path / "memo", noise, codec, container, **options)
    samples = audio.read(path)
    assert audio.n_samples(path) == len(samples)
    assert 0 <= len(samples) - len(noise) <= 2_500  # encoders delay and fill their last frame
    assert audio.rms(samples) == pytest.approx(audio.rms(noise), rel=0.2)


@pytest.mark.parametrize(("form", "subtype"), [("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_joined_parts_are_read_to_the_end(tmp_path, tone, noise, form, subtype):
    (tmp_path / "one").write_bytes(coded(noise, form, subtype))
    (tmp_path / "joined").write_bytes(coded(tone, form, subtype) + coded(noise, form, subtype))
    assert audio.n_samples(tmp_path / "one") == len(audio.read(tmp_path / "one")) == len(noise)
    samples = audio.read(tmp_path / "joined")
    assert abs(len(samples) - len(tone) - len(noise)) < 3_000  # MP3 has the silence of a second header
    assert audio.rms(samples[-30_000:]) > 0.6 * audio.rms(noise)


@pytest.mark.parametrize("form", ["WAV", "AIFF", "VORBIS", "OPUS", "FLAC", "MP3", "webm", "mp4"])
def test_a_file_cut_in_half_is_refused(tmp_path, noise, form):
    path = tmp_path / "cut"
    if form in ("webm", "mp4"):
        muxed(path, noise, {"webm": "libopus", "mp4": "aac"}[form], form, movflags="faststart")
    else:
        path.write_bytes(coded(noise, *(("OGG", form) if form in ("VORBIS", "OPUS") else (form, None))))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"cut: .*(truncated|could be read)"):
        audio.read(path)


def test_a_wav_from_a_pipe_states_no_length_and_is_read_whole(tmp_path, noise):
    content = bytearray(coded(noise, "WAV"))
    content[4:8] = content[40:44] = b"\xff" * 4
    (tmp_path / "pipe.raw").write_bytes(content)  # the name means nothing
    np.testing.assert_allclose(audio.read(tmp_path / "pipe.raw"), noise, atol=PCM_STEP)


def test_channels_that_cancel_and_samples_out_of_scale_give_a_warning_with_the_name(wav, tone):
    with pytest.warns(audio.AudioWarning, match=r"sound\.wav: the channels cancel"):
        assert np.abs(audio.read(wav(np.stack([tone, -tone], axis=1)))).max() < 1e-6
    with pytest.warns(audio.AudioWarning, match=r"sound\.wav: samples of up to 9,830"):
        assert np.abs(audio.read(wav(19_660 * tone))).max() == pytest.approx(9_830, rel=1e-3)
    with warnings.catch_warnings(action="error"):
        np.testing.assert_allclose(audio.read(wav(np.stack([tone, np.zeros_like(tone)], axis=1))), tone / 2, atol=1e-3)
        np.testing.assert_allclose(audio.read(wav(2.5 * tone)), 2.5 * tone, atol=1e-3)


def test_sound_is_known_by_content_or_by_name(tmp_path, noise):
    for name, content in {
        "a.dat": coded(noise, "FLAC"),
        "b.wav": b"",
        "c.txt": b"words",
        "d.jpg": b"\xff\xd8\xff",
    }.items():
        (tmp_path / name).write_bytes(content)
    assert [path.name for path in sorted(tmp_path.iterdir()) if audio.is_sound(path)] == ["a.dat", "b.wav"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite(wav, tone, value):
    tone[[5, 7]] = value
    with pytest.raises(AudioError, match=r"sound\.wav: holds 2 samples that are NaN or infinite"):
        audio.read(wav(tone))


@pytest.mark.parametrize("samples", [np.zeros((2, 9)), np.array([0.0, np.nan]), np.zeros(0)])
def test_unfit_samples_are_not_written(tmp_path, samples):
    with pytest.raises(AudioError, match=r"out\.flac: one channel of finite samples"):
        audio.write_flac(tmp_path / "out.flac", samples)
    assert not list(tmp_path.iterdir())


def test_samples_beyond_full_scale_are_clipped(tmp_path):
    audio.write_flac(tmp_path / "loud.flac", np.array([-2.0, 0.0, 2.0]))
    np.testing.assert_allclose(audio.read(tmp_path / "loud.flac"), [-1, 0, 1], atol=PCM_STEP)


def test_the_root_mean_square_is_exact_for_half_precision_input_too():
    assert audio.rms(np.full(4, 3e4, np.float16)) == pytest.approx(3e4, rel=1e-3)
    assert audio.rms(np.array([3.0, 4.0])) == pytest.approx(np.sqrt(12.5))


def test_levels_are_relative_to_the_loud_frames():
    levels_db = audio.frame_levels_db(np.repeat([0.2, 0.1, 0.0], [16_000, 3_200, 3_200]))
    assert len(levels_db) == (22_400 - 320) // 160 + 1
    assert levels_db[[0, 50, 105, 110]] == pytest.approx([0, 0, 20 * np.log10(0.5), 20 * np.log10(0.5)], abs=1e-9)
    assert levels_db[-1] < -80


def test_speech_begins_and_ends_at_the_first_and_last_loud_frame(tone):
    start, stop = audio.speech_bounds(np.concatenate([np.zeros(8_000), tone, np.zeros(4_000)]))
    assert start == pytest.approx(8_000, abs=320)
    assert stop == pytest.approx(24_000, abs=320)
    with pytest.raises(AudioError, match=r"no speech in 0\.50 s: all samples are zero"):
        audio.speech_bounds(np.zeros(8_000))


def test_trimming_leaves_the_same_margin_with_and_without_silence(tone):
    bare, padded = tone, np.concatenate([np.zeros(8_000), tone, np.zeros(8_000)])
    for samples in (bare, padded):
        start, stop = audio.speech_bounds(samples)
        trimmed = audio.trim(samples, lead_s=0.1, trail_s=0.05)
        assert len(trimmed) == 1_600 + (stop - start) + 800
        assert np.array_equal(trimmed[1_600:-800], samples[start:stop])
    assert not audio.trim(bare, 0.1)[:1_600].any()
