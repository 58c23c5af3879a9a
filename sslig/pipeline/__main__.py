"""Run one rule: ``python -m sslig.pipeline RULE EXPERIMENT [--planted KIND] name=value ...``."""

import argparse
import importlib
import inspect
import os
import sys
import time
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sslig import files
from sslig.corpora import protocol
from sslig.errors import PipelineError
from sslig.pipeline import outputs
from sslig.study import load

RULES = (
    *(
        "corpus",
        "train",
        "adopt",
        "score",
        "official",
        "decide",
        "segment",
        "baseline",
        "attribute",
        "mask",
        "measure",
        "profile",
    ),
    *("plant", "localise", "paired", "faithfulness", "sanity", "gather", "page", "book"),
)

UNSEALED = ("page", "book")
"""Rules whose outputs only people read."""

IN_FOLDERS = ("*.tsv", "*.safetensors", "config.json", "detector/*.safetensors", "detector/config.json")
"""Files in the folders of corpora, detectors and runs that a rule reads or writes."""

CLOCK_S = 1.0
"""By how much the clock of a file system may lag behind."""

LABELS = ("name", "seed", "set_name", "which", "notebook", "shard")
"""Arguments that tell one job of a rule from another."""


def bind(rule: Callable, words: Sequence[str]) -> dict[str, Any]:
    """The arguments of a rule in ``name=value`` words; a word without a name belongs to the list before it.

    Raises
    ------
    PipelineError
        A name is unknown or missing, or a value is not of the type that the rule annotates.
    """
    parameters = dict(list(inspect.signature(rule).parameters.items())[1:])
    hints = typing.get_type_hints(rule)
    values: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in parameters:
            values.setdefault(name, []).append(value)
        elif values and not equals:
            values[next(reversed(values))].append(word)
        else:
            raise PipelineError(f"{rule.__name__}: {word!r}; accepted: {', '.join(f'{name}=' for name in parameters)}")
    missing = [name for name, item in parameters.items() if item.default is item.empty and name not in values]
    if missing:
        raise PipelineError(f"{rule.__name__}: {missing[0]}= is missing")
    return {name: _converted(rule.__name__, name, texts, hints[name]) for name, texts in values.items()}


def sealed(values: dict[str, Any]) -> list[Path]:
    """The files among the arguments of a rule, and those in its folders, whose content has a checksum."""
    paths = [path for value in values.values() for path in (value if isinstance(value, list) else [value])]
    named = []
    for path in (path for path in paths if isinstance(path, Path)):
        named += [path] if path.is_file() else [file for name in IN_FOLDERS for file in sorted(path.glob(name))]
    return [file for file in named if not file.name.startswith(".")]


def _converted(rule: str, name: str, texts: list[str], hint: Any) -> Any:
    alone = len(texts) == 1 and typing.get_origin(hint) is not list
    try:
        return TypeAdapter(hint).validate_python(texts[0] if alone else texts)
    except ValidationError as error:
        accepted = getattr(hint, "__name__", hint)
        raise PipelineError(f"{rule}: {name}={' '.join(texts)}; accepted: {accepted}") from error


def main(words: Sequence[str] | None = None) -> None:
    """Run a rule from the command line; exit status 1 and one message where it fails for a reason that it names."""
    parser = argparse.ArgumentParser(prog="python -m sslig.pipeline", description=__doc__)
    parser.add_argument("rule", choices=RULES)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--planted", metavar="KIND", help="work on the study of this kind of planted cue")
    parser.add_argument("values", nargs="*", metavar="name=value")
    options = parser.parse_intermixed_args(words)
    start = time.monotonic()
    try:
        rule = getattr(importlib.import_module(f"sslig.pipeline.{options.rule}"), options.rule)
        study = load(options.experiment)
        values = bind(rule, options.values)
        study = study.planted(options.planted) if options.planted else study
        for file in sealed({name: value for name, value in values.items() if name != "output"}):
            outputs.check(study, file)
        began = time.time()
        rule(study, **values)
        made = sealed(values) + (list(protocol.tables(study).values()) if options.rule == "corpus" else [])
        for file in made:
            if file.is_file() and file.stat().st_mtime >= began - CLOCK_S and options.rule not in UNSEALED:
                files.seal(file)
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"error: {options.rule}: {error}") from error
    labels = [options.planted, *(values[name] for name in LABELS if name in values)]
    texts = [label.stem if isinstance(label, Path) else str(label) for label in labels if label is not None]
    took = f"done in {time.monotonic() - start:.0f} s, {sum(os.times()[:4]):.0f} s of CPU"
    print(f"{' '.join([options.rule, *texts])}: {took}", file=sys.stderr)


if __name__ == "__main__":
    main()
