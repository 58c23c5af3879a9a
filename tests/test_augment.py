"""A configuration becomes parts with their probabilities; draws depend on seed, epoch, utterance and part only."""

import os
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml

from sslig.corpora import synthetic
from sslig.data import augment
from sslig.data.augment import PUBLISHED, Augmentation, AugmentationError, Chain, OneOf, Step, build

SPEECH = (0.5 * synthetic.recordings(1, 1)[0].sound()).astype(np.float32)
ONES = np.ones(4, np.float32)


def louder(db, p=1.0):
    """A step that can be read off its result."""
    return {"name": "gain", "gain_db": [db, db], "p": p}


def levels_db(config, n=2_000):
    """(utterance,) What augmentation makes of ones, in dB."""
    augmentation = build(config)
    return np.array([round(20 * np.log10(augmentation(ONES, 0, f"U{i}", 0)[0])) for i in range(n)])


def test_a_step_happens_as_often_as_it_is_likely():
    assert np.mean(levels_db([louder(6, 0.3)]) == 6) == pytest.approx(0.3, abs=0.04)
    assert (levels_db([louder(6)], 50) == 6).all()
    assert (levels_db([louder(6, 0)], 50) == 0).all()


def test_parts_are_independent():
    found = levels_db([louder(1, 0.5), louder(2, 0.5)])
    assert [np.mean(found == level) for level in range(4)] == pytest.approx([0.25] * 4, abs=0.04)


def test_one_of_is_one_each_as_likely():
    found = levels_db([{"one_of": [louder(1), louder(2), louder(3)], "p": 0.9}])
    assert [np.mean(found == level) for level in range(4)] == pytest.approx([0.1, 0.3, 0.3, 0.3], abs=0.04)


def test_a_chain_is_all_or_nothing_and_its_parts_have_their_own_probability():
    found = levels_db([{"chain": [{"one_of": [louder(1)], "p": 0.9}, louder(2, 0.9)], "p": 0.3}])
    expected = [0.7 + 0.3 * 0.01, 0.3 * 0.09, 0.3 * 0.09, 0.3 * 0.81]
    assert [np.mean(found == level) for level in range(4)] == pytest.approx(expected, abs=0.04)


def test_the_published_pipeline_is_written_out():
    trim, zero, companding, rawboost, pair = build("published").parts
    assert trim == Step("trim_leading_silence", 0.5)
    assert zero == Step("zero_span", 0.3, {"share": (0.2, 0.5)})
    assert companding == Step("mu_law", 0.3)
    assert rawboost == Step("rawboost", 0.3, {"algorithm": 5})
    assert (type(pair), pair.p, [(type(one), one.p) for one in pair.parts]) == (Chain, 0.3, [(OneOf, 0.9)] * 2)
    assert [len(one.parts) for one in pair.parts] == [3, 7]
    assert build(PUBLISHED) == build("published")


def test_a_configuration_may_come_from_yaml():
    text = """
    - trim_leading_silence
    - {name: zero_span, p: 0.3, share: [0.2, 0.5]}
    - {name: rawboost, algorithm: 8, parameters: {n_f: 3, p_percent: 20}}
    - {one_of: [gaussian_noise, {name: codec, codecs: [opus, amr_nb], bit_rate: [6000, 24000]}], p: 0.5}
    """
    augmentation = build(yaml.safe_load(text))
    assert [part.p for part in augmentation.parts] == [1.0, 0.3, 1.0, 0.5]
    assert np.isfinite(augmentation(SPEECH, 0, "U", 0)).all()


def test_nothing_configured_changes_nothing():
    assert build([])(SPEECH, 0, "U", 0) is SPEECH


def test_draws_depend_on_seed_epoch_and_utterance():
    augmentation = build(["gaussian_noise"])
    first = augmentation(ONES, 0, "U", 0)
    assert np.array_equal(first, augmentation(ONES, 0, "U", 0))
    for other in ((1, "U", 0), (0, "V", 0), (0, "U", 1)):
        assert not np.array_equal(first, augmentation(ONES, *other))


def test_the_published_pipeline_keeps_what_it_promises():
    _, on_crop = build("published").split()
    before = SPEECH.copy()
    for number in range(30):
        found = on_crop(SPEECH, 0, f"U{number}", 0)
        assert (found.dtype, found.shape) == (np.float32, SPEECH.shape)
        assert np.isfinite(found).all()
    assert np.array_equal(SPEECH, before)


def test_threads_do_not_change_the_draws_and_global_generators_stay():
    augmentation = build("published")
    names = [f"U{number}" for number in range(16)]
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the state that must stay as it is
    alone = [augmentation(SPEECH, 2, name, 0) for name in names]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: augmentation(SPEECH, 2, name, 0), names))
    assert all(map(np.array_equal, alone, together))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_another_process_draws_the_same():
    code = "from sslig.data.augment import generator_of; print(generator_of(3, 2, 'E_0001', 4).integers(2**62))"
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == augment.generator_of(3, 2, "E_0001", 4).integers(2**62)


def test_a_copy_in_a_worker_draws_the_same():
    augmentation = build("published")
    copied = pickle.loads(pickle.dumps(augmentation))
    assert np.array_equal(copied(SPEECH, 1, "U1", 0), augmentation(SPEECH, 1, "U1", 0))


def test_split_parts_do_in_turn_what_the_whole_does():
    augmentation = build("published")
    whole, crop = augmentation.split()
    assert [part.name for part in whole.parts] == ["trim_leading_silence"]
    for number in range(8):
        key = (0, f"U{number}", 0)
        assert np.array_equal(crop(whole(SPEECH, *key), *key), augmentation(SPEECH, *key))


@pytest.mark.parametrize(
    ("config", "n_whole"),
    [
        ([], 0),
        (["gain"], 0),
        (["gain", "speed", "mu_law"], 2),
        (["trim_leading_silence", {"one_of": ["gain", {"chain": ["speed"]}]}, "mu_law"], 2),
    ],
)
def test_all_up_to_the_last_change_of_length_sees_the_whole_recording(config, n_whole):
    whole, crop = build(config).split()
    assert (len(whole.parts), len(crop.parts)) == (n_whole, len(config) - n_whole)
    assert not any(part.changes_length for part in crop.parts)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("publishd", r"augmentation 'publishd'; accepted: published or a list of steps"),
        (3, r"augmentation is 3; accepted: a list of steps"),
        ([3], r"augmentation\[0\] is 3; accepted: the name of a step, or a mapping"),
        (["gain", "zero_spam"], r"augmentation\[1\]: unknown step 'zero_spam'; known: trim_leading_silence, .*codec"),
        ([{"step": "gain"}], r"one of name, chain and one_of; known steps: trim_leading_silence"),
        ([{"name": "gain", "chain": ["gain"]}], r"accepted: the name of a step, or a mapping with one of"),
        ([{"name": "gain", "p": 1.5}], r"augmentation\[0\].p is 1.5; accepted: a probability from 0 to 1"),
        ([{"name": "gain", "p": True}], r"p is True"),
        ([{"name": "gain", "db": 3}], r"augmentation\[0\]: gain has no parameter 'db'; known: gain_db"),
        ([{"one_of": ["gain", {"chain": ["no"]}]}], r"augmentation\[0\].one_of\[1\].chain\[0\]: unknown step 'no'"),
        ([{"one_of": []}], r"one_of with 0 steps .*accepted: at least one step"),
        ([{"chain": "gain"}], r"augmentation\[0\].chain is 'gain'; accepted: a list of steps"),
        ([{"chain": ["gain"], "share": 1}], r"the keys share; accepted: .*no key but p"),
        ([{"name": "rawboost", "algorithm": 9}], r"augmentation\[0\]: RawBoost algorithm 9; accepted: 1, 2"),
        ([{"name": "rawboost", "parameters": {"n_f": 0}}], r"n_f and n_bands are whole"),
    ],
)
def test_a_wrong_configuration_is_named_with_its_place(config, message):
    with pytest.raises(AugmentationError, match=message):
        build(config)


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        (np.zeros(4), r"float64 of shape \(4,\)"),
        (np.zeros((1, 4), np.float32), r"float32 of shape \(1, 4\)"),
        (np.zeros(0, np.float32), r"float32 of shape \(0,\)"),
        ([0.0], r"list of shape \(1,\)"),
    ],
)
def test_samples_of_another_kind_are_refused(samples, found):
    with pytest.raises(AugmentationError, match=rf"E_1: {found}; accepted: a NumPy array of float32"):
        Augmentation(())(samples, 0, "E_1", 0)
