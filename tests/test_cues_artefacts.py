import math

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.corpora import protocol
from sslig.cues import artefacts, voice
from sslig.cues.artefacts import measure
from sslig.cues.tiers import Tier
from sslig.errors import CorpusError

SILENCE = np.zeros(8_000)


def tier(*speech, duration_s):
    """A tier with these stretches of speech, in seconds."""
    start_s, end_s = np.array(speech).reshape(-1, 2).T
    return Tier("speech", start_s, end_s, ("speech",) * len(speech), duration_s, {})


def test_a_tone_between_silences(tone):
    """0.5 s of silence, 1 s of a tone of amplitude 0.5, 0.25 s of silence."""
    measures = measure(np.concatenate([SILENCE, tone, np.zeros(4_000)]), tier((0.5, 1.5), duration_s=1.75))
    assert list(measures) == list(artefacts.PLAIN)
    assert measures["duration_s"] == 1.75
    assert measures["leading_silence_s"] == pytest.approx(0.5)
    assert measures["trailing_silence_s"] == pytest.approx(0.25)
    assert measures["speech_length_s"] == pytest.approx(1.0)
    assert measures["level_dbfs"] == pytest.approx(10 * np.log10(0.5**2 / 2 / 1.75), abs=0.01)
    assert (measures["rms_first_100ms"], measures["pauses"]) == (0, 0)


def test_a_tier_gives_the_speech(tone):
    """Speech of 0.2 s, a pause of 0.3 s, speech of 0.4 s in a tone of 1 s; 29 frames of 30 ms lie in it as a whole."""
    measures = measure(tone, tier((0.0625, 0.2625), (0.5625, 0.9625), duration_s=1.0))
    assert measures["leading_silence_s"] == 0.0625
    assert measures["trailing_silence_s"] == 0.0375
    assert measures["speech_length_s"] == 0.9
    assert (measures["pauses"], measures["longest_pause_s"]) == (1, 0.3)
    assert measures["pause_share"] == pytest.approx(1 / 3)
    assert (measures["voiced_frames"], measures["unvoiced_frames"]) == (29, 0)
    assert measures["voiced_per_unvoiced"] == 29
    assert measures["snr_db"] < -15  # the pause is as loud, so nothing is left of the speech
    assert measures["noise_floor_dbfs"] == pytest.approx(-9.03, abs=0.02)


def test_half_the_tone_is_6_db_less(tone):
    loud, soft = measure(tone), measure(tone / 2)
    assert loud["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
    assert loud["level_dbfs"] - soft["level_dbfs"] == pytest.approx(6.02, abs=0.01)
    for name in ("rolloff_hz", "flatness_db", "tilt_db_per_octave"):
        assert loud[name] == pytest.approx(soft[name])


def test_loudness_is_that_of_the_release():
    """Frames of 30 ms are centred at 0, 30 ... ms with zeros beyond the ends; those in the speech count."""
    samples = np.concatenate([np.full(960, 0.06), np.full(1440, 0.04)])
    measures = measure(samples, tier((0.0, 0.15), duration_s=0.15))
    rms = np.sqrt([0.06**2 / 2, 0.06**2, (0.06**2 + 0.04**2) / 2, 0.04**2, 0.04**2, 0.04**2 / 2])
    assert (measures["voiced_frames"], measures["unvoiced_frames"]) == (2, 3)  # the sixth frame ends behind the speech
    assert measures["voiced_per_unvoiced"] == pytest.approx(2 / 3)
    assert measures["rmse_mean"] == pytest.approx(rms.mean())
    assert measures["rmse_amplitude"] == pytest.approx(np.ptp(rms))
    assert measures["rms_first_100ms"] == pytest.approx(rms[:3].mean())


@pytest.mark.parametrize("snr_db", [0.0, 20.0, 40.0])
def test_the_noise_goes_on_under_the_speech(rng, tone, snr_db):
    noise = rng.standard_normal(48_000)
    noise *= np.sqrt(np.mean(tone**2) / 10 ** (snr_db / 10) / np.mean(noise**2))
    noise[16_000:32_000] += tone
    measures = measure(noise, tier((1.0, 2.0), duration_s=3.0))
    assert measures["snr_db"] == pytest.approx(snr_db, abs=0.4)


@pytest.mark.parametrize("snr_db", [10.0, 25.0, 50.0])
def test_real_speech_needs_no_tier(golden, rng, snr_db):
    """Speech in noise: pauses, silence and SNR are measured without a tier as with the tier of the clean recording."""
    speech = audio.read(golden / "corpus" / "flac_E_eval" / "E_0000000055.flac")
    quiet = np.zeros(12_000, np.float32)
    speech = np.concatenate([quiet, speech, quiet, speech, quiet])
    clean = voice.speech(speech)
    power = np.mean(speech**2)
    noisy = speech + rng.standard_normal(len(speech)).astype(np.float32) * np.sqrt(power / 10 ** (snr_db / 10))
    alone, given = measure(noisy), measure(noisy, clean)
    assert alone["snr_db"] == pytest.approx(given["snr_db"], abs=3)
    assert alone["leading_silence_s"] == pytest.approx(given["leading_silence_s"], abs=0.1)
    assert alone["pauses"] >= 1


def test_noise_in_pauses_sets_floor_and_snr(rng, tone):
    noise = 0.001 * rng.standard_normal(16_000)
    measures = measure(np.concatenate([noise, tone]), tier((1.0, 2.0), duration_s=2.0))
    assert measures["noise_floor_dbfs"] == pytest.approx(-60, abs=0.2)
    assert measures["snr_db"] == pytest.approx(-9.03 + 60, abs=0.2)


def test_damage_is_measured(tone):
    """Clipped at half of its peak a sine is flat where |sin| > 0.5: two thirds of the time."""
    measures = measure(np.clip(tone, -0.25, 0.25))
    assert measures["clipping_share"] == pytest.approx(2 / 3, abs=0.02)
    assert measure(tone)["clipping_share"] == 0
    assert measure(tone + 0.1)["dc_offset"] == pytest.approx(0.1, abs=1e-6)
    assert measure(tone - 0.1)["dc_offset"] == pytest.approx(0.1, abs=1e-6)
    holed = tone.copy()
    holed[1_000:1_100], holed[2_000:2_050] = 0, 0  # only the first is 5 ms long
    assert measure(holed)["digital_silence_share"] == pytest.approx(100 / 16_000, abs=3 / 16_000)


def test_spectra_of_white_noise_and_of_a_tone(rng, tone):
    """White noise: 99 % below 7.92 kHz, flat but for the spread of its estimate, no tilt, half of it above 4 kHz."""
    white = measure(0.1 * rng.standard_normal(160_000))
    assert white["rolloff_hz"] == pytest.approx(7920, abs=40)
    assert white["flatness_db"] == pytest.approx(0, abs=0.1)
    assert white["tilt_db_per_octave"] == pytest.approx(0, abs=0.1)
    assert white["high_band_db"] == pytest.approx(10 * np.log10(0.5), abs=0.1)
    pure = measure(tone)
    assert pure["rolloff_hz"] == pytest.approx(440, abs=63)
    assert pure["flatness_db"] < -40
    assert pure["high_band_db"] < -60


def test_brown_noise_falls_by_6_db_an_octave(rng):
    brown = np.cumsum(rng.standard_normal(320_000))
    assert measure(brown / np.abs(brown).max())["tilt_db_per_octave"] == pytest.approx(-6.02, abs=0.8)


def test_digital_silence_is_defined():
    measures = measure(SILENCE, f0=True)
    spectral = {"rolloff_hz", "flatness_db", "tilt_db_per_octave", "high_band_db"}
    missing = spectral | {"snr_db", "f0_mean_hz", "f0_range_semitones", "jitter_percent", "shimmer_percent"}
    assert {name for name, value in measures.items() if math.isnan(value)} == missing
    assert measures["leading_silence_s"] == measures["trailing_silence_s"] == measures["duration_s"] == 0.5
    assert measures["level_dbfs"] == measures["noise_floor_dbfs"] == -100
    assert measures["digital_silence_share"] == 1
    zero = ["speech_length_s", "voiced_frames", "unvoiced_frames", "voiced_per_unvoiced", "rms_first_100ms"]
    zero += ["rmse_mean", "rmse_amplitude", "pauses", "pause_share", "longest_pause_s", "clipping_share"]
    assert [measures[name] for name in zero] == [0] * len(zero)


def test_speech_throughout_has_no_noise_floor(tone):
    measures = measure(tone, tier((0.0, 1.0), duration_s=1.0))
    assert {name for name, value in measures.items() if math.isnan(value)} == {"noise_floor_dbfs", "snr_db"}


@pytest.mark.parametrize("n_samples", [1, 10, 200, 500])
def test_short_recordings_are_measured(n_samples):
    measures = measure(np.full(n_samples, 0.1), f0=True)
    assert set(measures) == set(artefacts.MEASURES)
    assert measures["duration_s"] == n_samples / 16_000
    assert 0 < measures["rmse_mean"] < 0.1  # half of the first frame lies before the recording


def test_near_silence_has_the_lowest_level():
    assert measure(np.full(8_000, 1e-9))["level_dbfs"] == -100


def test_published_names_come_first_and_all_measures_are_described(reference):
    lines = (reference / "published_artefact_eer_global.csv").read_text().split()[1:]
    names = [line.split(",")[0].replace("voiced_unvoiced_ratio", "voiced_per_unvoiced") for line in lines]
    assert list(artefacts.PLAIN)[:10] == names
    assert all(unit and meaning for unit, meaning in artefacts.MEASURES.values())


LENGTHS = {"b": 16_000, "a": 4_000, "c": 8_000}


class TestTable:
    @pytest.fixture
    def utterances(self, tmp_path, tone):
        """Three tones of different lengths, and a file that does not exist."""
        for name, length in LENGTHS.items():
            audio.write_flac(tmp_path / f"{name}.flac", tone[:length])
        names = [*LENGTHS, "none"]
        return pd.DataFrame({"utterance": names, "path": [str(tmp_path / f"{name}.flac") for name in names]})

    @pytest.mark.parametrize("workers", [1, 2])
    def test_files_are_measured_in_order_and_broken_ones_left_out(self, utterances, workers):
        table, left_out = artefacts.table(utterances, workers=workers)
        assert list(table.columns) == ["utterance", *artefacts.PLAIN]
        assert table["utterance"].tolist() == list(LENGTHS)
        assert table["duration_s"].tolist() == [1.0, 0.25, 0.5]
        assert left_out["utterance"].tolist() == ["none"]
        assert left_out["reason"][0].endswith("none.flac: no such file")

    def test_nothing_to_measure_is_an_error(self, utterances):
        with pytest.raises(CorpusError, match=r"none of 1 utterances can be measured; .*none\.flac: no such file"):
            artefacts.table(utterances[3:])

    def test_an_empty_shard_has_an_empty_table(self, utterances):
        table, left_out = artefacts.table(utterances[:0], f0=True)
        assert list(table.columns) == ["utterance", *artefacts.MEASURES]
        assert len(table) == len(left_out) == 0

    def test_golden_numbers(self, golden):
        """All but those whose formula has changed since: loudness by frames, the ratio, and SNR without the noise."""
        changed = ["voiced_frames", "unvoiced_frames", "voiced_per_unvoiced", "rms_first_100ms", "snr_db"]
        same = [name for name in artefacts.MEASURES if name not in {*changed, "rmse_mean", "rmse_amplitude"}]
        utterances = protocol.load_set(golden / "corpus", "eval")[:12]
        expected = pd.read_parquet(golden / "tables" / "artefacts.parquet").set_index("utterance")
        table, _ = artefacts.table(utterances, f0=True)
        expected = expected.loc[table["utterance"], same].reset_index()
        pd.testing.assert_frame_equal(table[["utterance", *same]], expected, rtol=1e-5, check_dtype=False)
