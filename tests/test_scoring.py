import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch import nn

from sslig import audio, scoring
from sslig.corpora import protocol
from sslig.errors import DataError, DetectorError, StudyError
from sslig.scoring import evaluating, score
from sslig.study import Scoring

LAST = {"aasist": "out_layer", "camhfa": "pooling_fc", "sls": "fc3"}


@pytest.fixture
def table(corpus):
    """Eight utterances of three lengths."""
    return protocol.load_set(corpus, "eval")


@pytest.fixture
def detector(tiny_detector):
    """Random weights, the last ones large enough that scores differ much more than they may."""

    def make(head="camhfa"):
        made = tiny_detector(head)
        with torch.no_grad():
            getattr(made.head, LAST[head]).weight.mul_(100)
        return made

    return make


def scores_of(detector, table, **options):
    scored, left_out = score(detector, table, Scoring(**options))
    assert left_out.empty
    return scored.set_index("utterance")["spoof_score"]


@pytest.mark.parametrize("head", LAST)
def test_an_utterance_has_the_same_score_in_any_company(detector, table, head):
    model = detector(head)
    alone = scores_of(model, table, batch_size=1)
    assert alone.std() > 0.01
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    for order in (table, shuffled):
        for batch_size in (1, 4, 16):
            assert (scores_of(model, order, batch_size=batch_size) - alone).abs().max() <= 1e-4


def test_a_score_is_the_logit_of_the_whole_utterance(detector, table):
    model = detector()
    scores = scores_of(model, table)
    for row in table.itertuples():
        waveform = torch.from_numpy(audio.read(row.path)).unsqueeze(0)
        with torch.no_grad():  # the samples after the last frame are cut by the convolutions too
            used = model.clock.n_samples(model.clock.n_frames(waveform.shape[1]))
            assert scores[row.utterance] == pytest.approx(model(waveform[:, :used]).item(), abs=1e-4)


def test_the_order_and_the_columns_of_the_table_are_kept(detector, table):
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    scored, _ = score(detector(), shuffled, Scoring(batch_size=4))
    pd.testing.assert_frame_equal(scored[shuffled.columns], shuffled)
    assert list(scored.columns) == [*shuffled.columns, "spoof_score", "duration_s", "crop_s"]
    # 6,000, 8,000 and 9,500 samples hold 18, 24 and 29 frames
    used_s = {6_000: 17 * 320 + 400, 8_000: 23 * 320 + 400, 9_500: 28 * 320 + 400}
    assert scored["duration_s"].tolist() == [used_s[audio.n_samples(path)] / 16_000 for path in shuffled["path"]]
    assert scored["crop_s"].isna().all()


def test_a_crop_is_recorded_and_is_another_score(detector, table):
    model = detector()
    scored, _ = score(model, table, Scoring(crop_s=0.3))
    assert scored["crop_s"].tolist() == [0.3] * len(table)
    assert scored["duration_s"].tolist() == [(13 * 320 + 400) / 16_000] * len(table)  # 4,800 samples hold 14 frames
    assert (scored.set_index("utterance")["spoof_score"] - scores_of(model, table)).abs().max() > 1e-3


def test_reading_processes_and_the_mode_of_the_detector_change_nothing(detector, table):
    model = detector().train()
    assert (scores_of(model, table, workers=2) == scores_of(model.eval(), table)).all()


@pytest.fixture
def mixed(tmp_path, tone):
    """A table of good and broken files, the names of the good ones, and the reason for each broken one."""

    def path(name):
        return tmp_path / f"{name}.flac"

    for name in ("good", "truncated", "long"):
        audio.write_flac(path(name), np.tile(tone, 3) if name == "long" else tone)
    whole = path("truncated").read_bytes()
    path("truncated").write_bytes(whole[: len(whole) // 2])
    path("empty").write_bytes(b"")
    path("text").write_text("no sound")
    audio.write_flac(path("click"), tone[:200])
    audio.write_flac(path("silent"), np.zeros(16_000))
    soundfile.write(path("nan"), np.where(np.arange(16_000) == 9, np.nan, tone), 16_000, "FLOAT", format="WAV")
    soundfile.write(path("slow"), tone[::2], 8_000, format="FLAC")
    soundfile.write(path("stereo"), np.stack([tone, tone], axis=1), 16_000, format="FLAC")
    reasons = {
        "missing": "no such file",
        "truncated": "truncated",
        "empty": "the file is empty",
        "text": "not a sound file",
        "click": "200 samples at 16 kHz are too few",
        "nan": "holds 1 samples that are NaN",
        "long": "3.0 s long, above the limit max_s of 2 s",
    }
    good = ["good", "silent", "slow", "stereo"]
    names = [name for pair in zip(good, reasons, strict=False) for name in pair] + list(reasons)[len(good) :]
    return pd.DataFrame({"utterance": names, "path": [str(path(name)) for name in names]}), good, reasons


@pytest.mark.parametrize("batch_size", [1, 16])
def test_broken_files_are_listed_and_the_others_scored(detector, mixed, batch_size):
    table, good, reasons = mixed
    scored, left_out = score(detector(), table, Scoring(batch_size=batch_size, max_s=2.0))
    assert scored["utterance"].tolist() == good
    assert np.isfinite(scored["spoof_score"]).all()
    assert left_out["utterance"].tolist() == [name for name in table["utterance"] if name in reasons]
    for utterance, reason in left_out.itertuples(index=False):
        assert reasons[utterance] in reason
        assert f"{utterance}.flac" in reason


def test_channels_are_averaged_and_other_rates_converted(detector, mixed):
    table, good, _ = mixed
    scores = scores_of(detector(), table[table["utterance"].isin(good)].reset_index(drop=True))
    assert scores["stereo"] == scores["good"]
    assert scores["slow"] == pytest.approx(scores["good"], abs=0.2 * abs(scores["silent"] - scores["good"]))


def test_a_table_of_broken_files_is_refused(detector, mixed):
    table, good, _ = mixed
    broken = table[~table["utterance"].isin([*good, "long"])].reset_index(drop=True)
    with pytest.raises(DataError, match=r"none of 6 utterances could be read; the first: .*missing\.flac: no such"):
        score(detector(), broken, Scoring())


def test_bf16_is_allowed_and_nearly_the_same(detector, table):
    model = detector()
    single, half = scores_of(model, table), scores_of(model, table, precision="bf16-mixed")
    assert 0 < (single - half).abs().max() < 0.2 * (single.max() - single.min())


def test_a_crop_shorter_than_a_frame_is_refused(detector, table):
    with pytest.raises(StudyError, match=r"scoring.crop_s is 0\.02 s, shorter than one frame of 0\.025 s"):
        score(detector(), table, Scoring(crop_s=0.02))


def test_a_detector_that_gives_nan_is_refused(detector, table):
    model = detector()
    with torch.no_grad():
        model.head.pooling_fc.bias.fill_(float("nan"))
    with pytest.raises(DetectorError, match="no finite score for 8 utterances; first E_0000"):
        score(model, table, Scoring())


@pytest.mark.parametrize("training", [True, False])
def test_a_module_is_used_in_evaluation_mode_and_comes_back_in_its_own_after_an_error(training):
    module = nn.Dropout().train(training)

    def fail():
        assert not module.training
        raise KeyError

    with pytest.raises(KeyError), evaluating(module, "cpu"):
        fail()
    assert module.training is training


def test_single_utterances_come_in_front_of_an_evaluating_detector(detector, mixed):
    table, good, reasons = mixed
    model = detector().train()
    rows, left_out = scoring.one_by_one(table, model, Scoring(max_s=2.0), "cpu")
    shapes = {}
    for row, waveform in rows:
        assert not model.training
        shapes[row["utterance"]] = waveform.shape
    assert model.training
    assert sorted(shapes) == good
    assert set(shapes.values()) == {(1, 15_760)}
    assert sorted(left_out.table(table)["utterance"]) == sorted(reasons)
