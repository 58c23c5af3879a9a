"""What several test modules share: reference data, generators, small sound files, tiny detectors and a tiny corpus."""

import os
import socket
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from sslig import audio
from sslig.corpora import protocol
from sslig.models.detector import Detector
from sslig.study import Study, load

matplotlib.use("agg")
# Test processes run beside each other, and sums depend on the number of threads: here, and in what tests start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

REPOSITORY = Path(__file__).resolve().parents[1]

TINY_BACKBONE = {
    "model_type": "wavlm",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,  # kernels and strides are the real ones, so that the hop stays 320 samples
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "apply_spec_augment": False,
    "layerdrop": 0.0,
}

TINY_HEADS = {
    "aasist": {"n_bins": 24},
    "camhfa": {"n_heads": 4, "compression": 8, "context": 5},
    "sls": {"n_frames": 30},
}

LENGTHS = (6_000, 8_000, 8_000, 9_500)
"""Samples of the utterances of the tiny corpus, in turn: two lengths stand once, one stands twice."""


def folder_of(name: str) -> Path:
    """A folder of numbers to compare with: by its variable, or below ``shared/`` beside the repository."""
    variable = f"SSLIG_{name.upper()}"
    folder = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"no {name} data: set {variable} to their folder")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference data: ``SSLIG_REFERENCE``, or ``shared/reference``."""
    return folder_of("reference")


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden numbers: ``SSLIG_GOLDEN``, or ``shared/golden``."""
    return folder_of("golden")


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port of this machine that nothing listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def tone() -> np.ndarray:
    """(samples,) One second of a 440 Hz tone at 16 kHz."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.float32)


@pytest.fixture
def tiny_backbone() -> dict[str, Any]:
    """Values of a WavLM with two layers of 16 features and the real frame clock."""
    return dict(TINY_BACKBONE)


@pytest.fixture
def tiny_detector() -> Callable[..., Detector]:
    """Makes a detector with random weights around `tiny_backbone`, in evaluation mode, by the name of its head."""

    def make(head: str = "camhfa", seed: int = 0, **head_values: Any) -> Detector:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Detector(dict(TINY_BACKBONE), head, TINY_HEADS[head] | head_values).eval()

    return make


@pytest.fixture(scope="session")
def write_corpus() -> Callable[..., Path]:
    """Writes a corpus in the ASVspoof 5 layout: 8 utterances and 2 speakers a set, every second utterance a spoof.

    `sound` gives (samples,) from the number of an utterance, (samples,) times, whether it is a spoof, and a generator;
    `lengths` are samples of two utterances each.
    """

    def write(root: Path, sound: Callable[..., np.ndarray], lengths: tuple[int, ...], seed: int) -> Path:
        generator = np.random.default_rng(seed)
        for name, (file, folder) in protocol.SETS.items():
            rows = [_trial(name, number, root / folder, sound, lengths, generator) for number in range(8)]
            protocol.write(root / file, pd.DataFrame(rows, columns=protocol.COLUMNS))
        return root

    return write


def _trial(
    set_name: str, number: int, folder: Path, sound: Callable, lengths: tuple[int, ...], generator: np.random.Generator
) -> list[str]:
    """Write one utterance and return its row of the protocol; eval has attacks that train lacks."""
    initial, spoof = set_name[0].upper(), number % 2 == 1
    utterance, time_s = f"{initial}_{number:04d}", np.arange(lengths[number // 2]) / 16_000
    audio.write_flac(folder / f"{utterance}.flac", sound(number, time_s, spoof, generator).astype(np.float32))
    attack = f"A{(3 if set_name == 'eval' else 1) + number // 4:02d}" if spoof else "-"
    speaker = f"{initial}_S{number // 4}"
    return [speaker, utterance, "F", "-", "-", "-", "-", attack, "spoof" if spoof else "bonafide", "-"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, write_corpus: Callable[..., Path]) -> Path:
    """A corpus in which bona fide is noise and spoofs are tones. Shared by all tests: copy it before changing it."""

    def sound(number: int, time_s: np.ndarray, spoof: bool, generator: np.random.Generator) -> np.ndarray:
        noise = generator.standard_normal(len(time_s))
        tone = np.sin(2 * np.pi * (200 + 50 * number) * time_s)
        return 0.1 * (tone + 0.1 * noise if spoof else noise)

    return write_corpus(tmp_path_factory.mktemp("corpus"), sound, LENGTHS, 7)


@pytest.fixture(scope="session")
def write_experiment(corpus: Path) -> Callable[..., Study]:
    """Writes ``experiment.yaml`` to a folder and loads it: a study of `corpus` with one epoch of two steps.

    Keywords replace values, within a section where they are a mapping.
    """

    def write(folder: Path, **changed: Any) -> Study:
        values = {
            "name": "tiny",
            "corpus": {"source": "asvspoof5", "root": str(corpus)},
            "backbone": TINY_BACKBONE,
            "detectors": {head: {"head": head} | values for head, values in TINY_HEADS.items()},
            "seeds": [0, 1],
            "training": {"epochs": 1, "steps_per_epoch": 2, "batch_size": 2, "crop_s": 0.4, "lr_backbone": "1e-3"},
            "evaluation": {"rounds": 20},
            "attribution": {"utterances": 4, "max_steps": 32},
            "device": "cpu",
        }
        for key, value in changed.items():
            values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
        path = folder / "experiment.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        return load(path)

    return write


@pytest.fixture
def utterances(corpus: Path) -> pd.DataFrame:
    """Four spoofs of 18, 24, 24 and 29 frames."""
    spoofs = protocol.load_set(corpus, "eval").query("key == 'spoof'")
    return protocol.with_recordings(corpus, spoofs).reset_index(drop=True)


@pytest.fixture
def experiment(tmp_path: Path, write_experiment: Callable[..., Study]) -> Study:
    """A study of `corpus` with the three heads; its file lies in `tmp_path`."""
    return write_experiment(tmp_path)


@pytest.fixture(scope="session")
def run_pipeline() -> Callable[[Study], Study]:
    """Runs the rules of a ready-made corpus up to the attributions, with detectors that have random weights."""
    from sslig.pipeline import attribute, baseline, outputs, score, segment

    def run(study: Study) -> Study:
        corpus = {"corpus": study.corpus_root}
        for which in ("eval", "train"):
            files = {name: study.runs / f"{name}_{which}.parquet" for name in ("segments", "left_out")}
            segment.segment(study, **corpus, which=which, **files, sources=study.runs / f"segment_sources_{which}.json")
        for (name, values), seed in product(study.detectors.items(), study.seeds):
            paths = {key: study.run(name, seed) / Path(file).name for key, file in outputs.OF_DETECTOR.items()}
            torch.manual_seed(seed)
            head = {key: value for key, value in values.items() if key != "head"}
            Detector(study.backbone_source(), values["head"], head).save_pretrained(study.run(name, seed) / "detector")
            common = {"detector": study.run(name, seed) / "detector", **corpus}
            for set_name in ("dev", "eval"):
                tables = {"scores": paths[f"scores_{set_name}"], "left_out": paths[f"left_out_scores_{set_name}"]}
                score.score(study, name=name, seed=seed, **common, set_name=set_name, shard="0of1", **tables)
            means = {key: paths[key] for key in ("baseline", "nonspeech")}
            baseline.baseline(study, seed=seed, **common, segments=study.runs / "segments_train.parquet", **means)
            tables = {"attributions": paths["attributions"], "left_out": paths["left_out_attributions"]}
            common |= means | {"scores_dev": paths["scores_dev"]}
            attribute.attribute(study, name=name, seed=seed, **common, shard="0of1", **tables)
        return study

    return run


@pytest.fixture(scope="session")
def explained_study(tmp_path_factory: pytest.TempPathFactory, write_experiment, run_pipeline) -> Study:
    """A study of `corpus` whose three detectors are scored and explained, with segments. Not to be changed."""
    segments = ["vad", "voicing", "pocketsphinx:phones"]
    masking = {"utterances": 8, "masks": ["noise"], "sweeps": [], "draws": 3, "workers": 1, "segments": segments}
    masking["nonspeech_utterances"] = 4
    study = run_pipeline(write_experiment(tmp_path_factory.mktemp("explained"), seeds=[0], masking=masking))
    return study


@pytest.fixture(scope="module")
def inside_rule() -> Iterator[None]:
    """The environment of a rule: files of the pipeline are read and never made."""
    from sslig.pipeline.outputs import IN_RULE

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(IN_RULE, "1")
        yield
