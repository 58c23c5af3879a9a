import math

import numpy as np
import pytest
import torch

from sslig.errors import DetectorError
from sslig.labels import HIGHER_IS_BONAFIDE, HIGHER_IS_SPOOF
from sslig.models.foreign import (
    BlackBox,
    Origin,
    directed,
    keys_of,
    only_tensor,
    resampled,
    spoof_logit,
)


@pytest.mark.parametrize(
    ("labels", "keys"),
    [
        (["fake", "real"], ("spoof", "bonafide")),
        (["bona-fide", "spoof"], ("bonafide", "spoof")),
        (["HumanVoice", "AIVoice"], ("bonafide", "spoof")),
        (["Bonafide", "SPOOFED_AUDIO"], ("bonafide", "spoof")),
        (["genuine", "tts fake", "vc fake"], ("bonafide", "spoof", "spoof")),
    ],
)
def test_known_words_say_which_output_is_spoof(labels, keys):
    assert keys_of(labels, None, "model") == keys


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1"], ["fake", "not fake"], ["fake real", "other"], ["a", "b"]])
def test_unclear_labels_are_asked_for(labels):
    with pytest.raises(
        DetectorError, match=f"model: .*{labels[0]}.* does not say which is spoof.*--labels {labels[0]}="
    ):
        keys_of(labels, None, "model")


def test_given_labels_win_and_are_checked():
    assert keys_of(["LABEL_0", "LABEL_1"], {"LABEL_0": "spoof", "LABEL_1": "bonafide"}, "m") == ("spoof", "bonafide")
    with pytest.raises(DetectorError, match=r"m: labels LABEL_2=spoof; accepted: LABEL_0, LABEL_1"):
        keys_of(["LABEL_0", "LABEL_1"], {"LABEL_2": "spoof"}, "m")
    with pytest.raises(DetectorError, match=r"labels LABEL_0=fake; accepted: .*bonafide or spoof"):
        keys_of(["LABEL_0", "LABEL_1"], {"LABEL_0": "fake"}, "m")


def test_the_spoof_logit_is_the_difference_of_logits():
    outputs = torch.tensor([[2.0, 5.0], [0.0, -1.0]])
    torch.testing.assert_close(spoof_logit(outputs, ("bonafide", "spoof")), torch.tensor([3.0, -1.0]))
    torch.testing.assert_close(spoof_logit(outputs, ("spoof", "bonafide")), torch.tensor([-3.0, 1.0]))


def test_several_attacks_count_as_one_class():
    outputs = torch.zeros(1, 3)  # a third each: p(spoof) is two thirds
    expected = torch.tensor([math.log(2)])
    torch.testing.assert_close(spoof_logit(outputs, ("bonafide", "spoof", "spoof")), expected)


@pytest.mark.parametrize(("direction", "sign"), [(HIGHER_IS_SPOOF, 1.0), (HIGHER_IS_BONAFIDE, -1.0)])
def test_one_or_two_outputs_go_in_their_direction(direction, sign):
    torch.testing.assert_close(directed(torch.tensor([1.0, 4.0]), direction), sign * torch.tensor([1.0, 4.0]))
    torch.testing.assert_close(directed(torch.tensor([[1.0], [4.0]]), direction), sign * torch.tensor([1.0, 4.0]))
    torch.testing.assert_close(directed(torch.tensor([[1.0, 4.0]]), direction), sign * torch.tensor([3.0]))


def test_the_scores_are_taken_out_of_what_a_model_returns():
    scores, hidden = torch.ones(3, 2), torch.zeros(3, 160)
    for output in (scores, (hidden, scores), {"embeddings": hidden, "scores": scores}):
        assert torch.equal(only_tensor(output, 3, "m"), scores)
    with pytest.raises(DetectorError, match=r"m: returns \[\(3, 160\)\] for 3 waveforms; one or two columns"):
        only_tensor(hidden, 3, "m")


def box(rate_hz=16_000, **options):
    return BlackBox(lambda x: x.mean(dim=1), Origin("test", "box", rate_hz=rate_hz), **options)


def test_a_recording_comes_at_the_rate_that_the_detector_wants():
    time_s = torch.arange(16_000) / 16_000
    tone = torch.sin(2 * torch.pi * 440 * time_s)[None]
    at_8k = resampled(tone, 8_000)
    assert at_8k.shape == (1, 8_000)
    np.testing.assert_allclose(at_8k[0, 500:-500], tone[0, ::2][500:-500], atol=1e-3)
    assert resampled(tone, 16_000) is tone
    lengths = []
    BlackBox(lambda x: lengths.append(x.shape[1]) or x.sum(1), Origin("test", "box", rate_hz=8_000))(tone)
    assert lengths == [8_000]


def test_a_black_box_gives_one_logit_for_each_waveform():
    assert box()(torch.ones(2, 800)).tolist() == [1.0, 1.0]
    assert box(min_samples=400).min_frames == 1
    assert box(min_samples=721).min_frames == 3  # two frames are 720 samples
    with pytest.raises(DetectorError, match=r"\(batch, samples\) is needed"):
        box()(torch.ones(800))
    with pytest.raises(DetectorError, match=r"box: gives shape \(2, 800\) for 2 waveforms; one logit for each"):
        BlackBox(lambda x: x, Origin("test", "box"))(torch.ones(2, 800))
