"""The files that the pipeline leaves, by name, and the one way to ask for them."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from sslig.corpora import protocol
from sslig.errors import PipelineError
from sslig.files import check_seal
from sslig.study import Study

IN_RULE = "SSLIG_RULE"
"""Environment variable that the Snakefile sets: inside a rule the inputs are there, and nothing is asked for."""

RUN = "{detector}/seed{seed}"
"""Folder of one trained detector, below the runs of a study."""

PLANTED = "planted/{kind}"
"""Folder of the study of one kind of planted cue, below the runs of its parent."""

OF_STUDY = {
    **{name: f"{name}.parquet" for name in ("segments_eval", "segments_train", "segments_profile")},
    "segment_sources": "segment_sources_eval.json",
    **{
        f"{name}_{measured}": f"{name}_{measured}.parquet"
        for name in ("artefacts", "left_out_artefacts")
        for measured in ("train", "dev", "eval")
    },
}

OF_DETECTOR = {
    "detector": "detector/model.safetensors",
    "detector_config": "detector/config.json",
    "epochs": "epochs.tsv",
    "log": "log.csv",
    "training": "training.json",
    **{
        f"{prefix}{name}": f"{prefix}{name}.parquet"
        for name in ("scores_dev", "scores_eval", "attributions", "masks", "faithfulness", "sanity", "paired")
        for prefix in ("", "left_out_")
    },
    "official": "scores_eval.tsv",
    **{name: f"{name}.parquet" for name in ("labelled", "labelled_transplants", "left_out_labelled")},
    "decisions": "decisions_eval.tsv",
    **{name: f"{name}.safetensors" for name in ("baseline", "nonspeech")},
    **{name: f"{name}.parquet" for name in ("profile_regions", "profile_utterances", "left_out_profile")},
}

OF_PLANTED = {
    **{name: f"{name}.parquet" for name in ("localisation", "transplants", "left_out_localisation")},
    **{f"planted_{name}": OF_DETECTOR[name] for name in ("detector", "epochs", "baseline", "nonspeech")},
    **{f"planted_scores_{set_name}": OF_DETECTOR[f"scores_{set_name}"] for set_name in ("dev", "eval")},
}

PATTERNS = {
    **OF_STUDY,
    **{name: f"{RUN}/{file}" for name, file in OF_DETECTOR.items()},
    **{name: f"{PLANTED}/{RUN}/{file}" for name, file in OF_PLANTED.items()},
}
"""Name -> path below the runs of a study, with wildcards."""


def patterns(study: Study) -> dict[str, str]:
    """`PATTERNS` with the scores of the corpora that the study tests on too."""
    return PATTERNS | {f"scores_{test}": f"{RUN}/scores_{test}.parquet" for test in study.corpus.tests}


READERS = {".parquet": pd.read_parquet, ".tsv": lambda path: pd.read_csv(path, sep="\t"), ".csv": pd.read_csv}


def files(study: Study, name: str, **of: Sequence[str | int] | None) -> dict[tuple, Path]:
    """Ask for a file of every detector, seed and kind of planted cue that its name depends on.

    The result is (), (detector, seed) or (kind, detector, seed) -> path. `name` is a key of `PATTERNS`; ``detector``
    and ``planted_detector`` give the folder of the detector. `of` are ``detectors``, ``seeds`` and ``kinds``; those not
    given are all of the study.

    Raises
    ------
    PipelineError
        The name is unknown, or a file could not be made.
    """
    by_key = paths(study, name, **of)
    request(study, list(by_key.values()))
    for path in by_key.values():
        check(study, path)
    return {key: path.parent if name.endswith("detector") else path for key, path in by_key.items()}


def tables(study: Study, *names: str, **of: Sequence[str | int] | None) -> dict[str, pd.DataFrame]:
    """Ask for tables by name and read them, with columns ``kind``, ``detector`` and ``seed`` where they apply.

    `of` are the detectors, seeds and kinds of `files`. Rows keep their order.
    """
    by_name = {name: paths(study, name, **of) for name in names}
    everything = [path for by_key in by_name.values() for path in by_key.values()]
    request(study, everything)
    for path in everything:
        check(study, path)
    return {name: read(by_key) for name, by_key in by_name.items()}


def chosen(study: Study, detectors: Any = None, seeds: Any = None) -> tuple[list[str], list[int]]:
    """The detectors and seeds that a page works on: all by default.

    Each is a list, a single value, or the text of either, because ``papermill -p detectors '["camhfa"]'`` passes text.
    """
    given = [yaml.safe_load(value) if isinstance(value, str) else value for value in (detectors, seeds)]
    lists = [value if value is None or isinstance(value, list) else [value] for value in given]
    return lists[0] or list(study.detectors), lists[1] or list(study.seeds)


def corpus_root(study: Study) -> Path:
    """Ask for the corpus of a study, and return its folder."""
    request(study, list(protocol.tables(study).values()))
    return study.corpus_root


def request(study: Study, paths: Sequence[Path]) -> None:
    """Have Snakemake make what is missing or out of date among `paths`; inside a rule, only check that they are there.

    Raises
    ------
    PipelineError
        Snakemake failed, or a file is missing inside a rule.
    """
    if os.environ.get(IN_RULE):
        missing = [str(path) for path in paths if not path.exists()]
        if missing:
            raise PipelineError(f"{missing[0]} is missing: the Snakefile does not name it among this rule's inputs")
        return
    targets = [os.path.relpath(path, study.root) for path in paths]
    command = [sys.executable, "-m", "snakemake", "--cores", str(os.cpu_count() or 1)]
    command += ["--config", f"experiment={os.path.relpath(study.path, study.root)}", "--", *targets]
    if subprocess.run(command, cwd=study.root, check=False).returncode:
        raise PipelineError(f"{study.path}: Snakemake could not make {', '.join(targets[:3])}; see its messages above")


def check(study: Study, path: Path) -> None:
    """Refuse a file that is not what a rule has written; the message says how to make it again."""
    where = [os.path.relpath(place, study.root) for place in (study.path, path)]
    check_seal(path, f"snakemake --cores 1 --config experiment={shlex.quote(where[0])} -- {shlex.quote(where[1])}")


def paths(
    study: Study,
    name: str,
    detectors: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
) -> dict[tuple, Path]:
    """Where the files of a name lie, without asking for them; arguments and keys are those of `files`."""
    if name not in patterns(study):
        raise PipelineError(f"no table or file {name!r}; there are {', '.join(patterns(study))}")
    if name in OF_STUDY:
        return {(): study.runs / PATTERNS[name]}
    chosen = product(study.detectors if detectors is None else detectors, study.seeds if seeds is None else seeds)
    runs = {(detector, seed): study.run(detector, seed) for detector, seed in chosen}
    if name not in OF_PLANTED:
        return {key: run / patterns(study)[name].removeprefix(f"{RUN}/") for key, run in runs.items()}
    folders = {kind: study.planted(kind) for kind in (study.validation.planted if kinds is None else kinds)}
    return {(kind, *key): planted.run(*key) / OF_PLANTED[name] for kind, planted in folders.items() for key in runs}


def read(paths: dict[tuple, Path]) -> pd.DataFrame:
    """The rows of the tables at `paths`, with their keys as columns (`tables`)."""
    parts = []
    for key, path in paths.items():
        columns = dict(zip(("kind", "detector", "seed")[-len(key) :] if key else (), key, strict=True))
        part = READERS[path.suffix](path)
        parts.append(part.assign(**{name: value for name, value in columns.items() if name not in part}))
    filled = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(filled, ignore_index=True)
