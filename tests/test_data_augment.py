"""A configuration becomes parts with their probabilities; draws follow from seed, epoch, utterance and part."""

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml

from sslig.data import augment
from sslig.data.augment import Chain, OneOf, Step, build
from sslig.errors import StudyError

TIME_S = np.arange(9_000) / 16_000
SPEECH = (0.4 * np.sin(2 * np.pi * 180 * TIME_S) * np.sin(2 * np.pi * 3 * TIME_S) ** 2).astype(np.float32)
ONES = np.ones(4, np.float32)


def louder(db, p=1.0):
    """A step whose effect can be read from its result."""
    return {"name": "gain", "gain_db": [db, db], "p": p}


def shares(config, n_levels=4, n=2_000):
    """How often augmentation makes 0, 1, 2 ... dB of ones."""
    augmentation = build(config)
    levels = [round(20 * np.log10(augmentation(ONES, 0, f"U{i}", 0)[0])) for i in range(n)]
    return [np.mean(np.equal(levels, level)) for level in range(n_levels)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ([louder(3, 0.3)], [0.7, 0, 0, 0.3]),
        ([louder(3, 0)], [1, 0, 0, 0]),
        ([louder(1, 0.5), louder(2, 0.5)], [0.25] * 4),
        ([{"one_of": [louder(1), louder(2), louder(3)], "p": 0.9}], [0.1, 0.3, 0.3, 0.3]),
        (
            [{"chain": [{"one_of": [louder(1)], "p": 0.9}, louder(2, 0.9)], "p": 0.3}],
            [0.7 + 0.3 * 0.01, 0.3 * 0.09, 0.3 * 0.09, 0.3 * 0.81],
        ),
    ],
)
def test_parts_happen_as_often_as_they_are_likely(config, expected):
    assert shares(config) == pytest.approx(expected, abs=0.04)


def test_the_published_pipeline_is_written_out():
    trim, zero, companding, rawboost, pair = build("published").parts
    assert trim == Step(name="trim_leading_silence", p=0.5)
    assert zero == Step(name="zero_span", p=0.3, share=(0.2, 0.5))
    assert companding == Step(name="mu_law", p=0.3)
    assert rawboost == Step(name="rawboost", p=0.3, algorithm=5)
    assert (type(pair), pair.p, [(type(part), part.p) for part in pair.chain]) == (Chain, 0.3, [(OneOf, 0.9)] * 2)
    assert [len(part.one_of) for part in pair.chain] == [3, 7]


def test_a_configuration_may_come_from_yaml():
    text = """
    - trim_leading_silence
    - {name: zero_span, p: 0.3, share: [0.2, 0.5]}
    - {name: rawboost, algorithm: 8}
    - {one_of: [gaussian_noise, {name: codec, codecs: [opus, amr_nb], bit_rate: [6000, 24000]}], p: 0.5}
    """
    augmentation = build(yaml.safe_load(text))
    assert [part.p for part in augmentation.parts] == [1.0, 0.3, 1.0, 0.5]
    assert augmentation.parts[2].model_extra == {"algorithm": 8}
    assert np.isfinite(augmentation(SPEECH, 0, "U", 0)).all()


def test_nothing_configured_changes_nothing():
    assert build([])(SPEECH, 0, "U", 0) is SPEECH


def test_draws_depend_on_seed_epoch_and_utterance():
    augmentation = build(["gaussian_noise"])
    first = augmentation(ONES, 0, "U", 0)
    assert np.array_equal(first, augmentation(ONES, 0, "U", 0))
    for other in ((1, "U", 0), (0, "V", 0), (0, "U", 1)):
        assert not np.array_equal(first, augmentation(ONES, *other))


def test_the_published_pipeline_draws_what_earlier_releases_drew():
    """So that a training can be repeated: the root mean square of the first utterances."""
    augmentation = build("published")
    levels = [np.sqrt(np.mean(augmentation(SPEECH, 0, f"U{number}", 0).astype(float) ** 2)) for number in range(8)]
    assert levels == pytest.approx([0.16832, 0.13612, 0.16584, 0.76628, 0.16584, 0.16834, 0.15073, 0.15795], rel=1e-3)


def test_threads_do_not_change_the_draws_and_global_generators_stay():
    augmentation = build("published")
    names = [f"U{number}" for number in range(16)]
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the state that must not change
    alone = [augmentation(SPEECH, 2, name, 0) for name in names]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: augmentation(SPEECH, 2, name, 0), names))
    assert all(map(np.array_equal, alone, together))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_every_process_and_every_copy_draws_the_same():
    """Unlike ``hash``, the generator does not depend on the process."""
    assert augment.generator_of(3, 2, "E_0001", 4).integers(2**62) == 4583468701364931159
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


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("publishd", r"augmentation 'publishd'; accepted: published or a list of steps"),
        (3, r"augmentation is 3; "),
        ([3], r"augmentation\[0\] is 3; accepted: the name of a step, or a mapping"),
        (["gain", "zero_spam"], r"augmentation\[1\]: unknown step 'zero_spam'; known: trim_leading_silence, .*codec"),
        ([{"name": ["gain"]}], r"unknown step \['gain'\]"),
        ([{"step": "gain"}], r"accepted: the name of a step, or a mapping with one of name, chain and one_of"),
        ([{"name": "gain", "chain": ["gain"]}], r"accepted: the name of a step, or a mapping with one of"),
        ([{"name": "gain", "p": 1.5}], r"augmentation\[0\].p is 1.5; .*less than or equal to 1"),
        ([{"name": "gain", "p": True}], r"p is True"),
        ([{"name": "gain", "db": 3}], r"augmentation\[0\]: gain has no parameter 'db'; known: gain_db"),
        ([{"one_of": ["gain", {"chain": ["no"]}]}], r"augmentation\[0\].one_of\[1\].chain\[0\]: unknown step 'no'"),
        ([{"one_of": []}], r"one_of is \[\]; .*at least 1"),
        ([{"chain": "gain"}], r"augmentation\[0\].chain is 'gain'"),
        ([{"chain": ["gain"], "share": 1}], r"augmentation\[0\].share is 1"),
    ],
)
def test_a_wrong_configuration_is_named_with_its_place(config, message):
    with pytest.raises(StudyError, match=message):
        build(config)


def test_the_table_of_a_configuration_multiplies_probabilities():
    config = ["mu_law", {"chain": [{"one_of": ["gain", louder(3, 0.5)], "p": 0.8}, "gaussian_snr"], "p": 0.5}]
    table = augment.table(config)
    assert table["part"].tolist() == [1, 2, 2, 2]
    assert table["group"].tolist() == ["", "chain, one of 2", "chain, one of 2", "chain"]
    assert table["probability (%)"].tolist() == pytest.approx([100, 20, 10, 50])
    shown = ["mu 255", "gain_db -12 to 12", "gain_db 3 to 3", "snr_db 5 to 40"]
    assert table["drawn from"].tolist() == shown
