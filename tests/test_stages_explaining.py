import dataclasses

import pytest
import torch

from sslig import stages
from sslig.attribution.contexts import BASELINES, BLURRED
from sslig.stages import explaining

NAME, SEED = "camhfa", 0


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_experiment):
    values = {"segments": ["vad"], "workers": 1}
    return write_experiment(tmp_path_factory.mktemp("explaining"), masking=values, attribution={"baseline": "zero"})


def test_a_context_holds_every_baseline_whatever_the_study_starts_from(study):
    found = explaining.context(study, NAME, SEED)
    assert set(found.baselines) == set(BASELINES) - {BLURRED}
    features = torch.randn(1, 3, 20, 16)
    starts = {name: found.start(name, features) for name in BASELINES}
    assert {start.shape for start in starts.values()} == {features.shape}
    assert not starts["zero"].any()
    assert starts["nonspeech"].any()


def test_the_mean_is_that_of_the_study_that_starts_from_it(study):
    mean = dataclasses.replace(study.attribution, baseline="bonafide_mean")
    expected = stages.baseline(dataclasses.replace(study, attribution=mean), NAME, SEED)
    assert torch.equal(explaining.context(study, NAME, SEED).baselines["bonafide_mean"].values, expected.values)


def test_draws_are_of_bona_fide_training_utterances(study):
    found = explaining.context(study, NAME, SEED)
    assert len(found.draws) == 4  # no more are in the set
    assert {one.shape[0] for one in found.draws} == {3}
    assert found.options == study.attribution
