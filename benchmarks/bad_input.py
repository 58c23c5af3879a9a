"""Show what each of some forty kinds of bad input ends in: a clear error that names the culprit, or a result.

    python benchmarks/bad_input.py

A case counts as clear if it works, or if it raises an error of this project whose message contains the given word.
"""

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
import yaml

from sslig import errors, scores, scoring, study
from sslig.attribution import baselines
from sslig.attribution.context import BONAFIDE_MEAN, Context
from sslig.attribution.methods import explain
from sslig.corpora import build, protocol
from sslig.models.detector import Detector, build_head
from sslig.models.published import import_published
from sslig.pipeline.corpus import corpus
from sslig.pipeline.page import execute
from sslig.stats import metrics
from sslig.study import Scoring

BACKBONE = {
    "model_type": "wavlm",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
}
CLEAR = (errors.InputError, errors.DataError, errors.PipelineError)

LINE = "S1 {} F - - - A A01 {} -\n"


def sound_cases(folder: Path, detector: Detector) -> dict[str, tuple[Callable, str]]:
    """Files that are scored beside a sound one, and the word that the reason for leaving them out must contain."""
    speech = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    files = {
        "sound": speech, "silent": np.zeros(32_000), "200 samples": speech[:200], "10 minutes": np.tile(speech, 300),
        "stereo": np.stack([speech, speech], axis=1), "clipped": np.clip(speech * 100, -1, 1),
    }  # fmt: skip
    for name, samples in files.items():
        soundfile.write(folder / f"{name}.flac", samples, 16_000)
    soundfile.write(folder / "8 kHz.flac", speech[::2], 8_000)
    soundfile.write(folder / "NaN.flac", np.where(np.arange(32_000) == 5, np.nan, speech), 16_000, format="WAV",
                    subtype="FLOAT")  # fmt: skip
    whole = (folder / "sound.flac").read_bytes()
    (folder / "truncated.flac").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.flac").write_bytes(b"")
    (folder / "text.flac").write_text("not a sound")

    def score(name: str) -> None:
        names = ["sound", name]
        table = pd.DataFrame({"utterance": names, "path": [str(folder / f"{file}.flac") for file in names]})
        scored, left_out = scoring.score(detector, table, Scoring())
        assert "sound" in set(scored["utterance"])
        if len(left_out):
            raise errors.AudioError(left_out["reason"].iloc[0])

    kinds = ["silent", "200 samples", "10 minutes", "stereo", "clipped", "8 kHz", "NaN", "truncated", "empty", "text",
             "missing"]  # fmt: skip
    return {f"audio: {kind}": (lambda kind=kind: score(kind), f"{kind}.flac") for kind in kinds}


def protocol_cases(folder: Path) -> dict[str, tuple[Callable, str]]:
    """Each fault of a protocol."""
    good = LINE.format("U1", "bonafide")
    texts = {
        "nine columns": ("S1 U1 F - - - A A01 spoof\n", "line 1"),
        "unknown key": (good + LINE.format("U2", "fake"), "line 2"),
        "duplicate utterance": (good + good, "line 2"),
        "empty file": ("", "empty"),
        "path as utterance": (LINE.format("../U1", "spoof"), "line 1"),
    }
    for name, (text, _) in texts.items():
        (folder / f"{name}.tsv").write_text(text)
    (folder / "binary.tsv").write_bytes(b"\xff\xfe\x00")
    cases = {f"protocol: {n}": (lambda n=n: protocol.read(folder / f"{n}.tsv"), word) for n, (_, word) in texts.items()}
    (folder / protocol.SETS["eval"][0]).write_text(good)
    return cases | {
        "protocol: not text": (lambda: protocol.read(folder / "binary.tsv"), "binary.tsv"),
        "protocol: missing file": (lambda: protocol.read(folder / "none.tsv"), "none.tsv"),
        "protocol: missing audio": (lambda: protocol.load_set(folder, "eval"), "U1.flac"),
        "protocol: unknown set": (lambda: protocol.load_set(folder, "test"), "test"),
    }


class _Code:
    def __reduce__(self) -> tuple:
        return os.getcwd, ()


def model_cases(folder: Path, detector: Detector) -> dict[str, tuple[Callable, str]]:
    """Detectors and checkpoints that do not fit."""
    detector.save_pretrained(folder / "good")
    other = Detector(BACKBONE | {"hidden_size": 32}, "camhfa")
    (folder / "mixed").mkdir()
    other.save_pretrained(folder / "mixed")
    (folder / "mixed/model.safetensors").write_bytes((folder / "good/model.safetensors").read_bytes())
    (folder / "bare").mkdir()
    (folder / "evil.pt").write_bytes(pickle.dumps({"weight": _Code()}))
    torch.save({"wavlm.x": torch.zeros(1)}, folder / "half.pt")
    torch.save({"other.x": torch.zeros(1)}, folder / "prefix.pt")
    waveform = torch.zeros(1, 8_000)
    context = Context({BONAFIDE_MEAN: baselines.zero(3, 24)})
    return {
        "model: unknown head": (lambda: build_head("lcnn", 3, 16), "lcnn"),
        "model: unknown head argument": (lambda: build_head("sls", 3, 16, {"frames": 5}), "frames"),
        "model: wrong feature size": (lambda: Detector.from_pretrained(folder / "mixed"), "mixed"),
        "model: folder without weights": (lambda: Detector.from_pretrained(folder / "bare"), "bare"),
        "model: pickled code": (lambda: import_published(folder / "evil.pt", "sls", BACKBONE), "evil.pt"),
        "model: head missing in .pt": (lambda: import_published(folder / "half.pt", "sls", BACKBONE), "half.pt"),
        "model: unknown prefix in .pt": (lambda: import_published(folder / "prefix.pt", "sls", BACKBONE), "other.x"),
        "model: waveform of one axis": (lambda: detector(torch.zeros(16_000)), "16000"),
        "model: waveform below one frame": (lambda: detector(torch.zeros(1, 200)), "200"),
        "attribution: baseline of another size": (
            lambda: explain("ig(space=features)", detector, waveform, context), "(3, 24)"),
        "attribution: waveform in bf16": (lambda: explain("ig", detector, waveform.bfloat16(), context), "bfloat16"),
    }  # fmt: skip


def study_cases(folder: Path) -> dict[str, tuple[Callable, str]]:
    """Experiments, metrics, notebooks and corpora that do not fit."""
    values = {"name": "x", "corpus": {"source": "asvspoof5", "root": str(folder)}, "backbone": BACKBONE,
              "detectors": {"sls": {"head": "sls"}}, "seeds": [0]}  # fmt: skip

    def loaded(**changed: object) -> study.Study:
        path = folder / "x.yaml"
        path.write_text(yaml.safe_dump(values | changed))
        return study.load(path)

    notebook = Path(__file__).resolve().parents[1] / "notebooks/02_train.ipynb"
    blank = Path(__file__).resolve().parents[1] / "experiments/published.yaml"
    ones = np.ones(3)
    return {
        "study: unknown key": (lambda: loaded(epoch=3), "epoch"),
        "study: wrong type": (lambda: loaded(training={"epochs": "many"}), "training.epochs"),
        "study: corpus not filled in": (lambda: study.load(blank), "corpus.root"),
        "study: no corpus there": (lambda: corpus(loaded()), str(folder)),
        "study: unknown detector": (lambda: loaded().run("lcnn", 0), "lcnn"),
        "metrics: one class only": (lambda: metrics.eer(ones, np.array([])), "spoof"),
        "metrics: NaN score": (lambda: metrics.eer(ones, np.array([np.nan])), "spoof"),
        "notebook: unknown parameter": (lambda: execute(notebook, folder / "o.ipynb", {"detctors": 1}), "detctors"),
        "corpus: no folder of recordings": (
            lambda: build.source(str(folder / "no"), folder / "c", 0),
            str(folder / "no"),
        ),
        "scores: no table": (lambda: scores.read(folder / "no.parquet"), "no.parquet"),
    }


def outcome(case: Callable, word: str) -> tuple[bool, str]:
    """Whether a case is clear, and its outcome."""
    try:
        case()
    except CLEAR as error:
        return word in str(error), f"{type(error).__name__}: {error}".splitlines()[0]
    except Exception as error:  # this script counts them
        return False, f"UNCLEAR {type(error).__name__}: {error}"
    return True, "works"


def main() -> None:
    """Print a line a case, and the count."""
    detector = Detector(BACKBONE, "camhfa").eval()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("sounds", "protocols", "models", "studies")]
        for folder in folders:
            folder.mkdir()
        cases = (
            sound_cases(folders[0], detector) | protocol_cases(folders[1]) | model_cases(folders[2], detector)
            | study_cases(folders[3])
        )  # fmt: skip
        results = {case: outcome(*what) for case, what in cases.items()}
        for case, (clear, text) in results.items():
            print(f"{'ok ' if clear else 'NOT'} {case}: {text.replace(name, '')[:150]}")
    print(
        f"{sum(clear for clear, _ in results.values())} of {len(results)} kinds of bad input work or name the culprit"
    )


if __name__ == "__main__":
    main()
