import numpy as np
import pytest
import soundfile

from sslig import audio
from sslig.corpora import planted, protocol
from sslig.errors import CorpusError
from sslig.pipeline.plant import bonafide, plant, stretches


@pytest.fixture
def study(tmp_path, write_experiment):
    return lambda **validation: write_experiment(tmp_path, validation=validation)


def test_a_corpus_is_planted_beside_the_study(study, corpus, tmp_path):
    plant(study(), kind="band", corpus=corpus, output=tmp_path / "band", workers=1)
    truth = planted.truth(tmp_path / "band", "eval")
    spoofs = protocol.load_set(tmp_path / "band", "eval").query("key == 'spoof'")
    assert set(truth["utterance"]) == set(spoofs["utterance"])
    assert truth.columns.tolist() == ["utterance", "start_s", "end_s", "low_hz", "high_hz"]


def test_the_study_decides_the_severity(study, corpus, tmp_path):
    for folder, severity in {"usual": {}, "other": {"splice": 0.5}, "weak": {"band": 6.0}}.items():
        plant(study(severity=severity), kind="band", corpus=corpus, output=tmp_path / folder, workers=1)
    sounds = {
        name: [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.flac"))]
        for name in ("usual", "other", "weak")
    }
    assert sounds["usual"] == sounds["other"]
    assert sounds["usual"] != sounds["weak"]
    with pytest.raises(CorpusError, match=r"band: severity 100\.0; accepted: 0\.0 to 60\.0 dB of"):
        plant(study(severity={"band": 100}), kind="band", corpus=corpus, output=tmp_path / "much", workers=1)


def test_coded_variants_and_spoofs_are_no_originals(study, corpus):
    originals = bonafide(study(), "band", corpus)
    for name in protocol.SETS:
        table = protocol.load_set(corpus, name)
        uncoded = table[(table["key"] == "bonafide") & (table["codec"] == "-")]
        names = [original.utterance for original in originals if original.set == name]
        assert names == uncoded["utterance"].tolist()


def test_at_most_the_given_number_of_recordings_is_drawn(study, corpus):
    originals = bonafide(study(planted_recordings={"eval": 2}), "band", corpus)
    assert [sum(original.set == name for original in originals) for name in protocol.SETS] == [4, 4, 2]


def test_pauses_are_quiet_frames_within_speech(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    samples = np.concatenate([np.zeros(4_000), tone, np.zeros(3_200), tone, np.zeros(480), tone, np.zeros(4_000)])
    audio.write_flac(tmp_path / "a.flac", samples)
    n_samples, bounds_s = stretches(str(tmp_path / "a.flac"), "pauses")
    assert n_samples == len(samples)
    ((start_s, end_s),) = bounds_s  # 30 ms are too short for a pause, and silence at the ends of a recording is none
    assert start_s == pytest.approx(20_000 / 16_000, abs=0.02)
    assert end_s == pytest.approx(23_200 / 16_000, abs=0.02)


def test_voiced_runs_are_those_with_a_pitch(tmp_path, tone):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(tmp_path / "a.flac", np.concatenate([noise, tone]), 16_000)
    _, bounds_s = stretches(str(tmp_path / "a.flac"), "voiced")
    longest = max(bounds_s, key=lambda bounds: bounds[1] - bounds[0])
    assert longest == pytest.approx((1.0, 2.0), abs=0.06)
