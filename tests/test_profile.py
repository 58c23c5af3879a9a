import numpy as np
import pytest
import torch

from sslig import audio
from sslig.attribution.baselines import BaselineError
from sslig.corpora import protocol
from sslig.cues.profile import nonspeech_mean
from sslig.cues.tiers import Tier
from sslig.frames import SSL_CLOCK
from sslig.study import Scoring


@pytest.fixture
def bonafide(corpus):
    table = protocol.load_set(corpus, "train")
    return table[table["key"] == "bonafide"].reset_index(drop=True)


def tier(label, start_s=0.0, end_s=0.2):
    return Tier("speech", np.array([start_s]), np.array([end_s]), (label,), 1.0, {"tool": "given"})


def test_the_profile_is_the_mean_over_frames_without_speech(tiny_detector, bonafide):
    detector = tiny_detector()
    speech = {name: tier("leading") for name in bonafide["utterance"]}
    found = nonspeech_mean(detector, bonafide, speech, Scoring(), "cpu", {"set": "train"})
    frames = []
    for path in bonafide["path"]:
        samples = torch.from_numpy(audio.read(path))[None]
        with torch.inference_mode():
            features = detector.features(samples[:, : SSL_CLOCK.n_samples(SSL_CLOCK.n_frames(samples.shape[1]))])
        frames.append(features[0, :, torch.from_numpy(SSL_CLOCK.centre_s(features.shape[2]) < 0.2)])
    torch.testing.assert_close(found.values, torch.cat(frames, dim=1).mean(dim=1))
    assert found.source == {"set": "train", "utterances": 4, "frames": sum(part.shape[1] for part in frames)}
    assert found.name == "nonspeech_mean"


def test_utterances_without_a_tier_do_not_count(tiny_detector, bonafide):
    known = bonafide["utterance"].iloc[0]
    found = nonspeech_mean(tiny_detector(), bonafide, {known: tier("trailing")}, Scoring(), "cpu", {})
    assert found.source["utterances"] == 1


def test_speech_everywhere_gives_no_profile(tiny_detector, bonafide):
    speech = {name: tier("speech", 0.0, 1.0) for name in bonafide["utterance"]}
    with pytest.raises(BaselineError, match="no frame without speech in 4 bona fide utterances"):
        nonspeech_mean(tiny_detector(), bonafide, speech, Scoring(), "cpu", {})
