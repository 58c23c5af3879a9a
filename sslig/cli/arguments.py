"""The arguments of each command, without what the commands need to run."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sslig.labels import DIRECTIONS

LISTS = (".csv", ".tsv", ".txt", ".lst", ".parquet")
NAME_COLUMNS = ("path", "file", "filename", "file_name", "audio", "utterance", "id", "name")
"""Columns of a list that name recordings, in any case; the first that it has counts."""

TABLES = {".csv": ",", ".tsv": "\t", ".parquet": None}
"""Ending of a table that is written -> its separator, where it is text."""

POINTS = {
    "equal": "LLR above 0: equal priors and costs",
    "asvspoof5": "LLR above log(1.9): 5 % spoofs, a missed spoof ten times as dear",
    "eer": "score above the threshold of equal error rates on dev",
    "zero": "score above 0: spoof is the more likely output of the model",
}
"""Operating point -> where its decision changes; all but the last need a calibration."""

EXPERIMENT = "experiments/demo.yaml"

Parser = argparse.ArgumentParser


class Command(NamedTuple):
    """What a command does, an example, and what adds its arguments to a parser."""

    text: str
    example: str
    add: Callable[[Parser], None]


def _recordings(parser: Parser) -> None:
    text = f"sound files, folders of them, or lists of names ({', '.join(LISTS)}): a name a line, or in a column 'path'"
    parser.add_argument("recordings", nargs="+", type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--audio-root", type=Path, metavar="FOLDER", help="folder of the names in lists (that of the list)"
    )


def _values(parser: Parser) -> None:
    """What a detector from elsewhere may need."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda ...")
    parser.add_argument("--labels", help="classes of its outputs, such as LABEL_0=bonafide,LABEL_1=spoof")
    parser.add_argument("--direction", choices=DIRECTIONS, help="of a Python module")
    parser.add_argument("--rate", type=int, help="sampling rate in Hz that a Python module wants (16000)")
    parser.add_argument("--backbone", help="Hub name or folder of the encoder, for .pt files and DeepFense")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that a Hub repository brings")


def _detectors(parser: Parser) -> None:
    text = "folder of a detector or of its run, .pt, Hub repository, package.module:name, or YAML of values"
    more = f"{text}; several times for several, NAME=DETECTOR to name one"
    parser.add_argument("-d", "--detector", action="append", required=True, metavar="DETECTOR", help=more)
    _values(parser)
    points = "; ".join(f"{name}: {meaning}" for name, meaning in POINTS.items()).replace("%", "%%")
    parser.add_argument("--at", choices=POINTS, help=f"operating point of the decision. {points}")


def _lengths(parser: Parser) -> None:
    text = "read the first S seconds only, repeated where they are too few"
    parser.add_argument("--crop-s", type=float, metavar="S", help=text)
    parser.add_argument("--max-s", type=float, default=60.0, metavar="S", help="leave longer recordings out (60)")


def _written(parser: Parser, what: str, required: bool) -> None:
    parser.add_argument("--out", type=Path, required=required, metavar="PATH", help=what)
    parser.add_argument("--overwrite", action="store_true", help="write over what is there")
    _json(parser)


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def _score(parser: Parser) -> None:
    _recordings(parser)
    _detectors(parser)
    _lengths(parser)
    _written(parser, f"table to write ({', '.join(TABLES)}); none: to the screen", required=False)


def _explain(parser: Parser) -> None:
    _recordings(parser)
    _detectors(parser)
    _lengths(parser)
    _written(parser, "folder to write", required=True)
    parser.add_argument("--method", help="such as ig or occlusion; sslig check DETECTOR lists those that apply")
    text = (
        "corpus of known recordings of both classes that attributions start from: in the layout of ASVspoof 5, or with "
        "folders bonafide and spoof (what lies beside the detector, or the corpus of its study)"
    )
    parser.add_argument("--reference", type=Path, metavar="CORPUS", help=text)
    text = "sources of segments (vad), such as vad pocketsphinx:phones"
    parser.add_argument("--segments", nargs="*", default=["vad"], metavar="SOURCE", help=text)
    text = "also show the evidence in time and frequency, within this many forward passes of each detector, such as 384"
    parser.add_argument("--frequency", type=int, metavar="PASSES", help=text)
    parser.add_argument("--layers", action="store_true", help="draw the evidence of each layer too")


def _list(parser: Parser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="folder to look in (this one)")
    _json(parser)


def _check(parser: Parser) -> None:
    parser.add_argument("detector", metavar="DETECTOR", help="as for sslig score --detector")
    _values(parser)
    _json(parser)


def _corpus(parser: Parser) -> None:
    what = "counts, missing files, what sets share, and the artefact measures that separate the classes"
    parser.add_argument("action", choices=["check"], help=what)
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of a corpus in a known layout, or a manifest")
    parser.add_argument("--layout", help="such as asvspoof2019_la (the one whose files are there)")
    text = "utterances of each set that are measured (200); 0: none"
    parser.add_argument("--utterances", type=int, default=200, metavar="N", help=text)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that measure (1)")
    _json(parser)


def _publish(parser: Parser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="run of a study, such as runs/demo/camhfa/seed0")
    _written(parser, "folder to write", required=True)
    parser.add_argument("--corpus", help="what it was trained on, in a few words (the corpus of the study)")
    parser.add_argument("--licence", default="other", help="identifier of the licence on the Hub (other)")
    parser.add_argument("--push", metavar="REPOSITORY", help="upload the folder to this repository of the Hub")


def _server(parser: Parser) -> None:
    parser.add_argument("--address", default="127.0.0.1", help="an address of this machine (127.0.0.1: local only)")
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--token", action="store_true", help="require a new random token")
    parser.add_argument("--base-url", default="/", help="path of the page in the browser, behind a proxy")
    parser.add_argument("--stripped", action="store_true", help="the proxy takes --base-url off (JupyterHub does)")
    parser.add_argument("--origin", default="", help="what the browser sees, such as https://listen.example.org")
    parser.add_argument("--trusted", action="store_true", help="the proxy lets in only who may: no token is needed")
    parser.add_argument("--kernels", type=int, default=8, help="visitors at once, at most")


def _explore(parser: Parser) -> None:
    parser.add_argument("file", nargs="?", help="a sound file, or an utterance of the study; none: the first utterance")
    parser.add_argument("--study", default=EXPERIMENT, help=f"an experiment file ({EXPERIMENT})")
    _server(parser)


def _annotate(parser: Parser) -> None:
    parser.add_argument("study", help="an experiment file")
    _server(parser)


COMMANDS = {
    "score": Command(
        "score recordings with detectors",
        "sslig score recordings/ call.m4a --detector runs/demo/camhfa/seed0 --out scores.csv",
        _score,
    ),
    "explain": Command(
        "show where in recordings detectors find evidence: pictures, pages that play, tables",
        "sslig explain call.wav --detector runs/demo/camhfa/seed0 --out explained",
        _explain,
    ),
    "detectors": Command("list the detectors below a folder, and how others are named", "sslig detectors runs", _list),
    "check": Command(
        "load a detector, run one second of noise, say what it is and which methods explain it",
        "sslig check runs/demo/camhfa/seed0",
        _check,
    ),
    "corpus": Command(
        "check a corpus before anything is trained or scored on it",
        "sslig corpus check corpora/prompts --utterances 100",
        _corpus,
    ),
    "publish": Command(
        "write a trained detector as a folder with a model card, and upload it where asked",
        "sslig publish runs/demo/camhfa/seed0 --out published/camhfa",
        _publish,
    ),
    "explore": Command(
        "open the explorer of a study in the browser, with a recording",
        "sslig explore call.wav --study experiments/demo.yaml",
        _explore,
    ),
    "annotate": Command(
        "open the annotator of a study in the browser", "sslig annotate experiments/demo.yaml", _annotate
    ),
}
"""Name -> command; the module of this name has ``run``, from the arguments to the exit status."""
