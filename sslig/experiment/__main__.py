"""Prints the path of the experiment file for a corpus source, or of the folder of what the study makes."""

import argparse

from sslig.experiment import ExperimentError, derive, load


def main() -> None:
    """Print the path of the experiment file for a corpus source, written if it is not the file's own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--corpus", default="", help="prompts, synthetic or a folder of own recordings")
    parser.add_argument("--runs", action="store_true", help="print the folder of what the study makes instead")
    arguments = parser.parse_args()
    try:
        experiment = load(arguments.experiment)
        if arguments.runs:
            print(experiment.runs)
            return
        same = arguments.corpus in ("", experiment.corpus.source)
        print(experiment.path if same else derive(arguments.experiment, arguments.corpus))
    except ExperimentError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
