"""List the detectors below a folder, and how any other detector is named."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sslig.cli import main
from sslig.cli.loaded import CALIBRATION, DETECTOR, SCORES_DEV, default_name
from sslig.models.named import KINDS

CONFIG, CORPORA = "config.json", "corpora"


def run(options: argparse.Namespace) -> int:
    """Print the detectors that are there, and the kinds that can be named."""
    table = ours(options.folder)
    kinds = [{"kind": kind, "named by": how} for kind, how in KINDS.items()]
    if options.json:
        main.print_json({"detectors": table.to_dict("records"), "kinds": kinds})
        return main.DONE
    if len(table):
        print(table.to_string(index=False), end="\n\n")
    else:
        print(f"no detector of ours below {options.folder.resolve()}\n")
    print("What --detector accepts:")
    print("\n".join(f"  {kind['kind']}: {kind['named by']}" for kind in kinds))
    return main.DONE


def ours(folder: Path) -> pd.DataFrame:
    """One row a detector of ours below `folder`: name, head, encoder, whether it is calibrated, and its folder."""
    rows = []
    for path in configurations(folder):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(values, dict) or "backbone_config" not in values:
            continue
        place = path.parent
        calibrated = (place / CALIBRATION).is_file() or (place.parent / SCORES_DEV).is_file()
        encoder = values["backbone_config"].get("model_type", "")
        shown = place.parent if place.name == DETECTOR else place
        row = (default_name(place), values.get("head", ""), encoder, calibrated, str(shown))
        rows.append(dict(zip(("detector", "head", "encoder", "calibrated", "folder"), row, strict=True)))
    return pd.DataFrame(rows, columns=["detector", "head", "encoder", "calibrated", "folder"])


def configurations(folder: Path) -> Iterator[Path]:
    """The files `CONFIG` below a folder, outside of hidden folders and of corpora."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != CORPORA)
        if CONFIG in names:
            yield Path(place) / CONFIG
