"""The command `sslig`: which module runs, and what becomes of errors: exit status 0, 1 or 2."""

import argparse
import importlib
import json
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from sslig.cli.arguments import COMMANDS
from sslig.errors import InputError, PipelineError

DONE, PARTLY, REFUSED = 0, 1, 2
"""Exit status: all done; done but for files that are listed; nothing done, the message says why."""

EPILOGUE = "exit status: 0 done; 1 done but for the files that are listed; 2 nothing done, the message says why"

QUIET = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Keeps the messages of libraries out of the output; settings of the caller win."""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    root = argparse.ArgumentParser(prog="sslig", description="Score and explain speech-deepfake detectors.")
    root.epilog = f"sslig COMMAND --help shows an example; {EPILOGUE}"
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        text = {"help": command.text, "description": f"{command.text[0].upper()}{command.text[1:]}."}
        part = commands.add_parser(name, **text, epilog=f"example:\n  {command.example}\n\n{EPILOGUE}")
        part.formatter_class = argparse.RawDescriptionHelpFormatter
        command.add(part)
    return root


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; an error that says what to mend is one line on the error stream."""
    options = parser().parse_args(words)
    if "" not in sys.path:
        sys.path.insert(0, "")  # a detector may be a Python module of the current folder
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warned
            return importlib.import_module(f"sslig.cli.{options.command}").run(options)
    except (InputError, PipelineError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return REFUSED


def _warned(message: Warning, category: type[Warning], *_: Any, **__: Any) -> None:
    """Print a warning of ours; those of libraries say nothing that a user can mend."""
    if category.__module__.startswith("sslig."):
        print(f"warning: {message}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a value as JSON, the only thing on the output stream."""
    print(json.dumps(value, indent=2, default=str))
