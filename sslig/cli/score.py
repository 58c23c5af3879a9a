"""Score recordings: spoof logit, calibrated log-likelihood ratio, and the decision at an operating point."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from sslig import files, scoring
from sslig.cli import inputs, loaded, main
from sslig.cli.arguments import TABLES
from sslig.cli.loaded import Loaded
from sslig.errors import InputError
from sslig.models.detector import select_device
from sslig.study import Scoring

COLUMNS = ("path", "detector", "spoof_score", "spoof_llr", "decision", "operating_point", "duration_s")


def run(options: argparse.Namespace) -> int:
    """Score, write or print, and list what could not be read."""
    if options.out is not None:
        if options.out.suffix not in TABLES:
            raise InputError(f"{options.out}: accepted endings: {', '.join(TABLES)}")
        loaded.refuse_existing(options.out, options.overwrite)
    table = inputs.table(options.recordings, options.audio_root)
    values = Scoring(crop_s=options.crop_s, max_s=options.max_s)
    parts, faults = [], []
    for detector in loaded.load_all(options):
        note_crop(detector, options.crop_s)
        scored, left_out = scoring.score(detector.model, table, values, select_device(options.device), detector.name)
        parts.append(decided(scored, detector, options.at))
        faults.append(left_out.assign(path=left_out["utterance"].map(table.set_index("utterance")["path"])))
    scores = pd.concat(parts, ignore_index=True)
    left_out = pd.concat(faults, ignore_index=True).drop_duplicates(["path", "reason"])
    _report(scores, left_out, options)
    return main.PARTLY if len(left_out) else main.DONE


def decided(scored: pd.DataFrame, detector: Loaded, asked: str | None) -> pd.DataFrame:
    """Scores with `COLUMNS`: LLR where the detector has a calibration, and the decision at the operating point."""
    point, scores = detector.point(asked), scored["spoof_score"]
    spoof = scores > detector.threshold(point)
    llr = float("nan") if detector.calibration is None else detector.calibration.llr(scores)
    decision = spoof.map({True: "spoof", False: "bonafide"})
    columns = {"detector": detector.name, "spoof_llr": llr, "decision": decision, "operating_point": point}
    return scored.assign(**columns)[list(COLUMNS)]


def note_crop(detector: Loaded, crop_s: float | None) -> None:
    """Say where a detector was trained on crops of one length, and recordings are read in full."""
    trained_s = detector.model.origin.crop_s
    if trained_s is not None and crop_s is None:
        note = f"was trained on crops of {trained_s:g} s; --crop-s {trained_s:g} scores as its authors do"
        print(f"note: {detector.name} {note}", file=sys.stderr)


def list_faults(left_out: pd.DataFrame) -> None:
    """Print the recordings that could not be read, with the reason of each."""
    if len(left_out):
        print(f"{len(left_out)} left out:", file=sys.stderr)
    for row in left_out.itertuples():
        print(f"  {row.reason if row.path in row.reason else f'{row.path}: {row.reason}'}", file=sys.stderr)


def _report(scores: pd.DataFrame, left_out: pd.DataFrame, options: argparse.Namespace) -> None:
    list_faults(left_out)
    if options.out is not None:
        write_table(options.out, scores)
        print(f"{len(scores)} scores in {options.out}", file=sys.stderr)
    if options.json:
        main.print_json({"scores": plain(scores), "left_out": left_out[["path", "reason"]].to_dict("records")})
    elif options.out is None:
        print(scores.to_string(index=False, float_format="{:.3f}".format, na_rep=""))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table by the ending of its name."""
    separator = TABLES[path.suffix]
    if separator is None:
        files.write_parquet(path, table)
    else:
        files.write_text(path, table.to_csv(index=False, sep=separator, lineterminator="\n"))


def plain(table: pd.DataFrame) -> list[dict]:
    """The rows of a table; None replaces what is not a number."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
