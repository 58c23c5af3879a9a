"""A built corpus: layout, disjoint speakers, unseen attacks, resumed and repeated builds, nothing told by the way."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.metrics import roc_curve

from sslig import files
from sslig.corpora import corpora, protocol, recordings, synthetic
from sslig.corpora import plan as planning
from sslig.corpora.conditioning import speech_bounds
from sslig.labels import BONAFIDE, SPOOF

RECORDINGS = synthetic.recordings(n_speakers=6, per_speaker=16)
DEALT = recordings.deal(RECORDINGS)
ONE = {"train": 1, "dev": 1, "eval": 1}
OPTIONS = planning.Options(recordings={"train": None, "dev": 24, "eval": None}, attacks_per_recording=ONE)
FEW = planning.Options(recordings={"train": 2, "dev": 1, "eval": 3}, attacks_per_recording=ONE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    corpora.build(RECORDINGS, root, DEALT, OPTIONS, workers=1)
    return root


def sounds(root):
    """The bytes of every file of a corpus by its path."""
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_layout_is_that_of_asvspoof_5(corpus):
    for name in protocol.SETS:
        table = protocol.load_set(corpus, name)
        letter = name[0].upper()
        assert table["utterance"].str.fullmatch(rf"{letter}_\d{{10}}").all()
        assert table["speaker"].str.fullmatch(rf"{letter}_\d{{4}}").all()
        assert soundfile.info(table["path"][0]).samplerate == 16_000


def test_no_speaker_is_in_two_sets(corpus):
    table = pd.read_csv(corpus / "recordings.tsv", sep="\t", keep_default_na=False)
    sets = table.groupby("speaker")["utterance"].agg(lambda names: set(names.str[0]))
    assert (sets.map(len) == 1).all()
    assert len(sets) == 6


def test_eval_has_attacks_that_training_had_and_others(corpus):
    seen, met = (set(protocol.load_set(corpus, name)["attack"]) - {"-"} for name in ("train", "eval"))
    assert seen & met == {"A01", "A02"}
    assert met - seen == {"A04", "A05"}


def test_attacks_are_balanced(corpus):
    for name in protocol.SETS:
        table = protocol.load_set(corpus, name)
        counts = table[(table["codec"] == "-") & (table["label"] == SPOOF)]["attack"].value_counts()
        assert counts.max() - counts.min() <= 2


def test_a_third_of_eval_has_a_coded_trial_of_the_same_class(corpus):
    table = protocol.load_set(corpus, "eval").set_index("utterance")
    coded = table[table["codec"] != "-"]
    originals = table.loc[coded["codec_seed"]]
    assert set(coded["codec"]) == {"C01", "C02", "C03"}
    assert (originals["codec"] == "-").all()
    assert (coded["attack"].to_numpy() == originals["attack"].to_numpy()).all()
    for label in (BONAFIDE, SPOOF):
        originals_of_class = ((table["codec"] == "-") & (table["label"] == label)).sum()
        assert (coded["label"] == label).sum() / originals_of_class == pytest.approx(1 / 3, abs=0.05)


def test_every_trial_names_its_recording_and_licence(corpus):
    table = pd.read_csv(corpus / "recordings.tsv", sep="\t", keep_default_na=False)
    assert len(table) == sum(len(protocol.load_set(corpus, name)) for name in protocol.SETS)
    assert set(table["licence"]) == {"CC0"}
    assert table["recording"].value_counts().min() >= 2


def test_names_do_not_tell_the_class(corpus):
    table = protocol.load_set(corpus, "train").sort_values("utterance")
    halves = np.array_split(table["label"].to_numpy(), 2)
    assert abs(halves[0].mean() - halves[1].mean()) < 0.25


def artefacts(path):
    samples, _ = soundfile.read(path)
    start, stop = speech_bounds(samples)
    return {
        "duration": len(samples),
        "RMS": samples.std(),
        "peak": np.abs(samples).max(),
        "leading silence": start,
        "trailing silence": len(samples) - stop,
        "offset": samples.mean(),
    }


def eer(labels, values):
    """EER of one value as a detector, in whichever direction is better."""
    false_alarm, hit, _ = roc_curve(labels, values, drop_intermediate=False)
    nearest = np.abs(false_alarm - (1 - hit)).argmin()
    rate = (false_alarm[nearest] + 1 - hit[nearest]) / 2
    return min(rate, 1 - rate)


def test_no_simple_artefact_tells_the_classes_apart(corpus):
    # The sets are pooled: with the 24 trials a class of one set, an EER scatters by 7 % and more.
    table = pd.concat([protocol.load_set(corpus, name) for name in protocol.SETS])
    measured = pd.DataFrame([artefacts(path) for path in table["path"]])
    rates = {what: eer(table["label"], measured[what]) for what in measured}
    assert min(rates.values()) >= 0.35, rates


def test_the_bytes_do_not_depend_on_workers_or_order(tmp_path):
    corpora.build(RECORDINGS, tmp_path / "one", DEALT, FEW, workers=1)
    corpora.build(RECORDINGS[::-1], tmp_path / "two", DEALT, FEW, workers=2)
    assert sounds(tmp_path / "one") == sounds(tmp_path / "two")


def test_another_seed_gives_another_corpus_and_removes_the_first(tmp_path):
    first = corpora.build(RECORDINGS, tmp_path, DEALT, FEW, workers=1)
    made = {content for path, content in sounds(tmp_path).items() if path.suffix == ".flac"}
    second = corpora.build(RECORDINGS, tmp_path, DEALT, replace(FEW, seed=1), workers=1)
    assert first["fingerprint"] != second["fingerprint"]
    assert not made & set(sounds(tmp_path).values())


def test_a_resumed_build_makes_only_what_is_missing(tmp_path):
    corpora.build(RECORDINGS, tmp_path, DEALT, FEW, workers=1)
    before = sounds(tmp_path)
    lost = sorted((tmp_path / "flac_E_eval").iterdir())[::3]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.flac") if path not in lost}
    for path in [*lost, tmp_path / "corpus.json", tmp_path / protocol.SETS["eval"][0]]:
        path.unlink()
    mark = corpora.fingerprint(planning.plan(RECORDINGS, DEALT, FEW), FEW)
    files.write_json(tmp_path / "building.json", {"fingerprint": mark})
    (tmp_path / "flac_T" / ".T_0000000001.7.part.flac").write_bytes(b"half")
    corpora.build(RECORDINGS, tmp_path, DEALT, FEW, workers=1)
    assert sounds(tmp_path) == before
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_a_killed_build_has_no_protocol_and_no_half_file(tmp_path):
    command = [sys.executable, "-m", "sslig.corpora.corpora", "synthetic", str(tmp_path / "corpus"), "--workers", "1"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list((tmp_path / "corpus").rglob("T_*.flac")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    made = list((tmp_path / "corpus").rglob("T_*.flac"))
    assert made
    assert all(soundfile.info(path).frames > 8000 for path in made)
    assert (tmp_path / "corpus" / "building.json").is_file()
    assert not list((tmp_path / "corpus").glob("*.tsv"))


def test_sound_files_of_someone_else_are_left_alone(tmp_path):
    (tmp_path / "flac_T").mkdir()
    with pytest.raises(corpora.CorpusError, match=r"no corpus\.json"):
        corpora.build(RECORDINGS, tmp_path, DEALT, FEW, workers=1)


def silence():
    return np.zeros(16_000, dtype=np.float32)


def test_a_recording_that_cannot_be_used_is_named(tmp_path):
    mute = [replace(one, sound=silence) if one.id == "voice1/1" else one for one in RECORDINGS]
    with pytest.raises(corpora.CorpusError, match=r"T_\d{10} .* of recording voice1/1\): .*no speech in 1.00 s"):
        corpora.build(mute, tmp_path, DEALT, replace(FEW, recordings={"dev": 1, "eval": 1}), workers=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sets": {**DEALT, "voice1": "test"}}, "unknown set test; accepted: train, dev, eval"),
        ({"sets": {"voice1": "train"}}, "no set for the speakers voice2, voice3"),
        ({"sets": dict.fromkeys(DEALT, "train")}, "set dev has no recordings"),
        ({"recordings": [*RECORDINGS, RECORDINGS[0]]}, "recording voice1/1 stands 2 times"),
        ({"options": replace(FEW, attacks={**FEW.attacks, "dev": ["voodoo"]})}, "unknown attack voodoo; accepted: gri"),
    ],
)
def test_a_plan_that_cannot_be_is_told(change, said):
    with pytest.raises(planning.PlanError, match=said):
        planning.plan(**{"recordings": RECORDINGS, "sets": DEALT, "options": FEW, **change})


def test_text_to_speech_is_planned_where_there_is_english_text():
    half = [replace(one, english="Hello." if place % 2 else None) for place, one in enumerate(RECORDINGS)]
    spoken = [trial for trial in planning.plan(half, DEALT, OPTIONS) if trial.attack == "neural_tts"]
    assert spoken
    assert all(trial.recording.english for trial in spoken)
    assert set(planning.recordings_table(spoken)["language"]) == {"en"}


def test_the_command_line_builds_and_says_so(tmp_path, capsys):
    arguments = ["synthetic", str(tmp_path), "--workers", "1", "--recordings", "train=2,dev=1,eval=2"]
    assert corpora.main(arguments) == 0
    assert "train 2 bona fide, 4 spoof" in capsys.readouterr().err


def test_the_command_line_tells_an_error_in_one_line(tmp_path, capsys):
    assert corpora.main([str(tmp_path / "nowhere"), str(tmp_path / "corpus")]) == 1
    assert capsys.readouterr().err.splitlines()[0].startswith("error: ")
