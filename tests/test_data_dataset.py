import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from sslig import audio
from sslig.corpora import protocol
from sslig.data import augment
from sslig.data.dataset import BalancedSampler, Crops, Draw, Shares, Utterances, equal_length_batches
from sslig.errors import DataError, StudyError
from sslig.frames import SSL_CLOCK
from sslig.labels import SPOOF

FEW_SPOOFS = np.array([0] * 20 + [SPOOF] * 3)


@pytest.fixture
def ramp(tmp_path):
    """A table of one spoof whose k-th sample is k / 2 ** 15, so that a crop says where it was cut."""
    audio.write_flac(tmp_path / "ramp.flac", np.arange(9_000) / 2**15)
    return pd.DataFrame({"path": [str(tmp_path / "ramp.flac")], "label": [SPOOF]})


def positions(crop):
    """(samples,) Where the samples of a crop of `ramp` were."""
    return (crop.numpy() * 2**15).round().astype(int)


def utterances(paths, crop_samples=None, max_s=60.0):
    return Utterances(pd.DataFrame({"path": [str(path) for path in paths]}), SSL_CLOCK, crop_samples, max_s)


def test_draws_are_balanced_and_classes_alternate_at_random():
    rows = [draw.row for draw in BalancedSampler(FEW_SPOOFS, 100, seed=0)]
    assert len(rows) == 100 == len(BalancedSampler(FEW_SPOOFS, 100, seed=0))
    assert (FEW_SPOOFS[rows] == SPOOF).sum() == 50
    assert 20 < np.count_nonzero(np.diff(FEW_SPOOFS[rows])) < 80


def test_draws_depend_on_seed_and_epoch_only():
    def rows(seed, epoch):
        sampler = BalancedSampler(FEW_SPOOFS, 50, seed)
        sampler.set_epoch(epoch)
        return [draw.row for draw in sampler]

    assert rows(0, 0) == rows(0, 0)
    assert rows(0, 0) != rows(0, 1)
    assert rows(0, 0) != rows(1, 0)


@pytest.mark.parametrize(("labels", "absent"), [([0, 0], "spoof"), ([1], "bonafide"), ([], "bonafide")])
def test_a_single_class_is_refused(labels, absent):
    with pytest.raises(DataError, match=f"of {len(labels)} utterances none is {absent}"):
        BalancedSampler(np.array(labels), 4, seed=0)


def test_a_crop_is_a_part_of_the_recording_with_its_label(ramp):
    crop, label, row = Crops(ramp, 4_000, seed=0)[Draw(0, 0, 0)]
    assert row == 0
    start = positions(crop)[0]
    assert positions(crop).tolist() == list(range(start, start + 4_000))
    assert (label.item(), label.dtype, label.shape) == (float(SPOOF), torch.float32, ())


def test_crops_are_spread_over_the_recording(ramp):
    starts = [positions(Crops(ramp, 8_000, seed=0)[Draw(0, position, 0)][0])[0] for position in range(60)]
    assert min(starts) < 150
    assert max(starts) > 850
    assert 0 <= min(starts) <= max(starts) <= 1_000


def test_the_place_of_a_crop_follows_from_seed_epoch_and_draw(ramp):
    def start(seed, epoch, position):
        return positions(Crops(ramp, 4_000, seed)[Draw(epoch, position, 0)][0])[0]

    assert start(0, 0, 0) == start(0, 0, 0)
    assert len({start(0, 0, 0), start(1, 0, 0), start(0, 1, 0), start(0, 0, 1)}) == 4


def test_a_short_recording_is_repeated(ramp):
    crop, *_ = Crops(ramp, 20_000, seed=0)[Draw(0, 0, 0)]
    assert positions(crop).tolist() == [*range(9_000), *range(9_000), *range(2_000)]


def test_batches_are_the_same_with_any_number_of_workers(corpus):
    table = protocol.load_set(corpus, "train")

    def drawn(workers):
        sampler = BalancedSampler(table["label"].to_numpy(), 12, seed=3)
        loader = DataLoader(Crops(table, 4_000, seed=3), batch_size=4, sampler=sampler, num_workers=workers)
        return [tensor for batch in loader for tensor in batch]

    alone, with_two = drawn(0), drawn(2)
    assert len(alone) == len(with_two) == 9
    assert all(map(torch.equal, alone, with_two))


def test_a_resumed_epoch_lacks_its_first_draws_and_the_next_is_whole():
    def draws(sampler, epoch):
        sampler.set_epoch(epoch)
        return list(sampler)

    fresh, resumed = (BalancedSampler(FEW_SPOOFS, 10, seed=0) for _ in range(2))
    resumed.resume(epoch=2, n_done=4)
    assert list(resumed) == draws(fresh, 2)[4:]
    assert draws(resumed, 2) == draws(fresh, 2)[4:]
    assert draws(resumed, 3) == draws(fresh, 3)
    assert [(draw.epoch, draw.position) for draw in draws(resumed, 3)] == [(3, position) for position in range(10)]
    assert len(resumed) == 10


@pytest.mark.parametrize("world", [1, 2, 4])
def test_shares_of_all_processes_are_the_batches(world):
    sampler = BalancedSampler(FEW_SPOOFS, 12, seed=0)
    shares = [list(Shares(sampler, 4, rank, world)) for rank in range(world)]
    assert all(len(batch) == 4 // world for share in shares for batch in share)
    together = [
        sorted((draw for batch in batches for draw in batch), key=lambda draw: draw.position)
        for batches in zip(*shares, strict=True)
    ]
    assert [draw for batch in together for draw in batch] == list(sampler)
    assert len(Shares(sampler, 4, 0, world)) == 3


def test_batches_that_cannot_be_shared_are_refused():
    with pytest.raises(StudyError, match="batches of 6 cannot be shared evenly by 4 processes"):
        Shares(BalancedSampler(FEW_SPOOFS, 12, seed=0), 6, 0, 4)


@pytest.fixture
def named(ramp):
    """`ramp` with the name that augmentation asks for."""
    return ramp.assign(utterance="T_1")


def test_what_keeps_the_length_is_done_to_the_crop(named, monkeypatch):
    """Zeros over the whole of what is given; and no more of the file is read than the crop."""
    lengths, read = [], audio.read
    monkeypatch.setattr(audio, "read", lambda path, *part: lengths.append(part) or read(path, *part))
    silence = augment.build([{"name": "zero_span", "share": [1.0, 1.0]}])
    crop, *_ = Crops(named, 4_000, 0, silence)[Draw(0, 0, 0)]
    assert crop.tolist() == [0] * 4_000
    assert lengths[0][1] == 4_000


def test_what_changes_the_length_is_done_to_the_recording(tmp_path):
    """Half a second of silence before 9,000 samples of a ramp: trimmed, every crop is of the ramp alone."""
    audio.write_flac(tmp_path / "late.flac", np.concatenate([np.zeros(8_000), 0.1 + np.arange(9_000) / 2**15]))
    table = pd.DataFrame({"utterance": ["T_1"], "path": [str(tmp_path / "late.flac")], "label": [SPOOF]})
    trimmed = Crops(table, 4_000, 0, augment.build(["trim_leading_silence"]))
    plain = Crops(table, 4_000, 0)
    drawn = [[crops[Draw(0, position, 0)][0] for position in range(30)] for crops in (trimmed, plain)]
    quiet = [[int((crop.abs() < 0.05).sum()) for crop in crops] for crops in drawn]
    assert min(quiet[0]) == 0
    assert max(quiet[0]) < 1_000 < max(quiet[1])


def test_each_draw_of_an_utterance_is_augmented_on_its_own(named):
    noisy = Crops(named, 9_000, 0, augment.build(["gaussian_snr"]))
    crops = [noisy[draw][0] for draw in (Draw(0, 0, 0), Draw(0, 0, 0), Draw(0, 1, 0), Draw(1, 0, 0))]
    assert torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[0], crops[2])
    assert not torch.equal(crops[0], crops[3])
    assert not torch.equal(crops[0], Crops(named, 9_000, 0)[Draw(0, 0, 0)][0])


def test_batches_hold_equal_lengths_only():
    assert equal_length_batches(np.array([3, 0, 5, 3, 3, 5]), batch_size=2) == [[0, 3], [4], [2, 5]]
    assert equal_length_batches(np.zeros(2, int), batch_size=2) == []


def test_an_utterance_is_trimmed_to_what_its_frames_use(ramp):
    """9,000 samples hold 27 frames, which use 26 * 320 + 400 = 8,720 of them."""
    whole = utterances(ramp["path"])
    frames, faults = whole.n_frames()
    assert frames.tolist() == [27]
    assert faults == {}
    assert positions(whole[0].samples).tolist() == list(range(8_720))


def test_a_crop_for_scoring_is_the_start_repeated_where_it_is_short(ramp):
    short, long = utterances(ramp["path"], 4_000), utterances(ramp["path"], 10_000)
    assert short.n_frames()[0].tolist() == [12]  # 11 * 320 + 400 = 3,920 samples
    assert positions(short[0].samples).tolist() == list(range(3_920))
    assert long.n_frames()[0].tolist() == [31]
    assert positions(long[0].samples).tolist() == [*range(9_000), *range(1_000)]


def test_faults_seen_in_the_header_leave_no_frames(ramp, tmp_path):
    audio.write_flac(tmp_path / "click.flac", np.ones(399) / 2)
    (tmp_path / "empty.flac").write_bytes(b"")
    paths = [tmp_path / "click.flac", tmp_path / "none.flac", tmp_path / "empty.flac", ramp["path"][0]]
    frames, faults = utterances(paths, max_s=0.5).n_frames()
    assert frames.tolist() == [0, 0, 0, 0]
    expected = [
        "399 samples at 16 kHz are too few: 400 are needed",
        "no such file",
        "the file is empty",
        "0.6 s long, above the limit max_s of 0.5 s",
    ]
    for row, (path, reason) in enumerate(zip(paths, expected, strict=True)):
        assert str(path) in faults[row]
        assert reason in faults[row]


def test_a_fault_behind_the_header_is_said_by_the_item(tmp_path):
    soundfile.write(tmp_path / "nan.wav", np.full(4_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    broken = utterances([tmp_path / "nan.wav"])
    assert broken.n_frames()[0].tolist() == [12]
    loaded = broken[0]
    assert (loaded.row, loaded.samples) == (0, None)
    assert "nan.wav: holds 4000 samples that are NaN or infinite" in loaded.fault
