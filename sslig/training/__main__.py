"""Trains a detector from the command line, alone or as one of the processes of ``torchrun`` or ``srun``."""

import argparse
import json
import os
import sys

from sslig.study import load
from sslig.training import RECORD, Interrupted, key, train


def main() -> None:
    """Train one detector of a study, from one seed or from all of them.

    A run that is done is left as it is, and one that was stopped goes on. The exit status is 75 where a signal
    stopped it, so that a job's script can put itself into the queue again.
    """
    parser = argparse.ArgumentParser(prog="python -m sslig.training", description="Train one detector of a study.")
    parser.add_argument("--experiment", required=True, help="the experiment file")
    parser.add_argument("--detector", required=True, help="one of its detectors")
    parser.add_argument("--seed", type=int, help="one of its seeds; all of them by default")
    arguments = parser.parse_args()
    try:
        experiment = load(arguments.experiment)
        for seed in experiment.seeds if arguments.seed is None else [arguments.seed]:
            record = experiment.run(arguments.detector, seed) / RECORD
            wanted = key(experiment, arguments.detector, seed)
            if not record.is_file() or json.loads(record.read_text(encoding="utf-8"))["key"] != wanted:
                train(experiment, arguments.detector, seed, wanted)
    except Interrupted as error:
        print(error, file=sys.stderr)
        raise SystemExit(os.EX_TEMPFAIL) from error
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
