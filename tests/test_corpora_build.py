import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from sslig.audio import speech_bounds
from sslig.corpora import build, protocol, recordings
from sslig.errors import CorpusError
from sslig.labels import BONAFIDE, SPOOF
from sslig.stats.metrics import eer

RECORDINGS = recordings.synthetic(n_speakers=6, per_speaker=16)
DEALT = recordings.deal(RECORDINGS)
SIZES = {"train": 8, "dev": 8, "eval": 12}
FEW = {"train": 2, "dev": 1, "eval": 3}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    build.build(RECORDINGS, DEALT, root, at_most=SIZES, seed=0)
    return root


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A corpus of six recordings, built by one process."""
    root = tmp_path_factory.mktemp("few")
    build.build(RECORDINGS, DEALT, root, at_most=FEW, seed=0, workers=1)
    return root


def contents(root):
    """The bytes of every file of a corpus by its path."""
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_layout_is_that_of_asvspoof_5(corpus):
    for name in protocol.SETS:
        table = protocol.load_set(corpus, name)
        letter = name[0].upper()
        assert table["utterance"].str.fullmatch(rf"{letter}_\d{{10}}").all()
        assert table["speaker"].str.fullmatch(rf"{letter}_\d{{4}}").all()
        assert soundfile.info(table["path"][0]).samplerate == 16_000


def test_every_trial_names_recording_speaker_and_licence_and_sets_share_no_speaker(corpus):
    table = pd.read_csv(corpus / "recordings.tsv", sep="\t", keep_default_na=False)
    assert len(table) == sum(len(protocol.load_set(corpus, name)) for name in protocol.SETS)
    assert set(table["licence"]) == {"CC0"}
    assert table["recording"].value_counts().min() == 3
    assert table.groupby("speaker")["utterance"].agg(lambda names: names.str[0].nunique()).tolist() == [1] * 6


def test_attacks_are_balanced_and_eval_has_known_and_new_ones(corpus):
    expected = {"train": {"A01", "A02", "A03"}, "dev": {"A01", "A02", "A03"}, "eval": {"A01", "A02", "A04", "A05"}}
    for name, attacks in expected.items():
        table = protocol.load_set(corpus, name)
        counts = table[(table["codec"] == "-") & (table["label"] == SPOOF)]["attack"].value_counts()
        assert set(counts.index) == attacks
        assert counts.sum() == 2 * SIZES[name]
        assert counts.max() - counts.min() <= 2


def test_a_third_of_eval_has_a_coded_trial_of_the_same_class(corpus):
    table = protocol.load_set(corpus, "eval").set_index("utterance")
    coded = table[table["codec"] != "-"]
    originals = table.loc[coded["codec_seed"]]
    assert set(coded["codec"]) == {"C01", "C02", "C03"}
    assert (originals["codec"] == "-").all()
    assert (coded["attack"].to_numpy() == originals["attack"].to_numpy()).all()
    for label in (BONAFIDE, SPOOF):
        n_originals = ((table["codec"] == "-") & (table["label"] == label)).sum()
        assert (coded["label"] == label).sum() / n_originals == pytest.approx(1 / 3, abs=0.05)


def test_names_do_not_reveal_the_class(corpus):
    table = protocol.load_set(corpus, "train").sort_values("utterance")
    first, second = np.array_split(table["label"].to_numpy(), 2)
    assert abs(first.mean() - second.mean()) < 0.25


def test_no_simple_artefact_separates_the_classes(corpus):
    # The sets are pooled, because an EER over the trials of one set scatters by more than 7 %.
    table = pd.concat([protocol.load_set(corpus, name) for name in protocol.SETS])
    measures = pd.DataFrame([plain_measures(path) for path in table["path"]])
    spoof = (table["label"] == SPOOF).to_numpy()
    for name in measures:
        values = measures[name].to_numpy(float)
        assert min(eer(sign * values[~spoof], sign * values[spoof]) for sign in (1, -1)) >= 0.35, name


def plain_measures(path):
    samples, _ = soundfile.read(path)
    start, stop = speech_bounds(samples)
    silence = {"leading silence": start, "trailing silence": len(samples) - stop}
    level = {"RMS": samples.std(), "peak": np.abs(samples).max(), "offset": samples.mean()}
    return {"duration": len(samples)} | silence | level


def test_the_bytes_do_not_depend_on_workers_or_order(few, tmp_path):
    build.build(RECORDINGS[::-1], DEALT, tmp_path, at_most=FEW, seed=0, workers=2)
    assert contents(tmp_path) == contents(few)


def test_samples_stay_the_same_from_release_to_release(few):
    assert json.loads((few / "fingerprint.json").read_text()) == {"fingerprint": "c65085daf32dd72d"}
    samples, _ = soundfile.read(protocol.load_set(few, "train")["path"][0])
    assert len(samples) == 61371
    assert np.abs(samples).mean() == pytest.approx(0.022226677, rel=1e-5)


def test_a_resumed_build_makes_only_what_is_missing(few, tmp_path):
    shutil.copytree(few, tmp_path, dirs_exist_ok=True)
    before = contents(tmp_path)
    lost = sorted((tmp_path / "flac_E_eval").iterdir())[::3]
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.flac") if path not in lost}
    for path in [*lost, tmp_path / "corpus.json", tmp_path / protocol.SETS["eval"][0]]:
        path.unlink()
    (tmp_path / "flac_T" / ".T_0000000001.7.part.flac").write_bytes(b"half")
    build.build(RECORDINGS, DEALT, tmp_path, at_most=FEW, seed=0, workers=1)
    assert contents(tmp_path) == before
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_another_seed_replaces_the_corpus(few, tmp_path):
    shutil.copytree(few, tmp_path, dirs_exist_ok=True)
    build.build(RECORDINGS, DEALT, tmp_path, at_most={"train": 1, "dev": 1, "eval": 1}, seed=1, workers=1)
    sounds = {content for path, content in contents(tmp_path).items() if path.suffix == ".flac"}
    assert not sounds & set(contents(few).values())


def test_a_killed_build_leaves_no_protocol_and_no_half_file(tmp_path):
    script = (
        f"from pathlib import Path; from sslig.corpora import build; root = Path({str(tmp_path)!r}); "
        "build.build(*build.source('synthetic', root, 0), root, seed=0, at_most={}, workers=1)"
    )
    running = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("T_*.flac")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    sounds = list(tmp_path.rglob("T_*.flac"))
    assert sounds
    assert all(soundfile.info(path).frames > 8000 for path in sounds)
    assert not list(tmp_path.glob("*.tsv"))


def test_sound_files_from_elsewhere_are_left_alone(tmp_path):
    (tmp_path / "flac_T").mkdir()
    with pytest.raises(CorpusError, match=r"no fingerprint\.json"):
        build.build(RECORDINGS, DEALT, tmp_path, at_most=FEW, seed=0, workers=1)


def silence():
    return np.zeros(16_000, dtype=np.float32)


def test_an_unusable_recording_is_named(tmp_path):
    chosen = [recording for recording in RECORDINGS if recording.speaker != "voice1" or recording.id == "voice1/1"]
    mute = [replace(recording, sound=silence) if recording.id == "voice1/1" else recording for recording in chosen]
    with pytest.raises(CorpusError, match=r"T_\d{10} .* of recording voice1/1\): .*no speech in 1.00 s"):
        build.build(mute, DEALT, tmp_path, at_most={"train": 2, "dev": 1, "eval": 1}, seed=0, workers=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sets": {**DEALT, "voice1": "test"}}, "unknown set test; accepted: train, dev, eval"),
        ({"sets": {"voice1": "train"}}, "no set for the speakers voice2, voice3"),
        ({"sets": dict.fromkeys(DEALT, "train")}, "set dev has no recordings"),
        ({"utterances": [*RECORDINGS, RECORDINGS[0]]}, "recording voice1/1 occurs more than once"),
        (
            {"attacks": {name: ["vocoder"] for name in FEW}},
            "unknown attack vocoder; accepted: griffin_lim, lpc_vocoder",
        ),
    ],
)
def test_an_impossible_plan_is_refused(change, message):
    with pytest.raises(CorpusError, match=message):
        build.plan(**{"utterances": RECORDINGS, "sets": DEALT, "seed": 0, "at_most": FEW, **change})


def test_a_study_may_choose_the_attacks_of_a_set():
    attacks = {**build.ATTACKS_OF_SET, "train": ("noise_vocoder",)}
    trials = build.plan(RECORDINGS, DEALT, 0, SIZES, attacks)
    assert {trial.attack for trial in trials if trial.set == "train"} == {None, "noise_vocoder"}
    assert {trial.attack for trial in trials if trial.set == "dev"} > {"griffin_lim"}


def test_text_to_speech_is_planned_where_there_is_english_text():
    half = [replace(recording, english="Hello." if i % 2 else None) for i, recording in enumerate(RECORDINGS)]
    synthesised = [trial for trial in build.plan(half, DEALT, 0, SIZES) if trial.attack == "neural_tts"]
    assert synthesised
    assert all(trial.recording.english for trial in synthesised)
    assert set(build.recordings_table(synthesised)["language"]) == {"en"}
