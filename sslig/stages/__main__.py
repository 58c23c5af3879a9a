"""Does one stage of a study from the command line, and those before it that are not done."""

import argparse
import sys
import time

from sslig.experiment import load
from sslig.stages import attribute, baseline, corpus, epochs, score


def main() -> None:
    """Do one stage from the command line, and say so in a line."""
    steps = {"train": epochs, "score": score, "baseline": baseline, "attribute": attribute}
    parser = argparse.ArgumentParser(description="Do one stage of a study, and those before it that are not done.")
    parser.add_argument("stage", choices=["corpus", *steps])
    parser.add_argument("experiment")
    parser.add_argument("--detector")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--workers", type=int, default=2, help="processes that build a corpus")
    arguments = parser.parse_args()
    start, name, seed = time.monotonic(), arguments.detector, arguments.seed
    try:
        experiment = load(arguments.experiment)
        if arguments.stage == "corpus":
            corpus(experiment, arguments.workers)
        else:
            name, seed = name or next(iter(experiment.detectors)), experiment.seeds[0] if seed is None else seed
            steps[arguments.stage](experiment, name, seed)
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from error
    what = "" if arguments.stage == "corpus" else f" {name} seed {seed}"
    print(f"{arguments.stage}{what}: done in {time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
