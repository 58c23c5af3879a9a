"""Does one stage of a study from the command line, and those before it that are not done."""

import argparse
import sys
import time

from sslig.stages import (
    attribute,
    baseline,
    corpus,
    epochs,
    faithful,
    localised,
    mask_jobs,
    masked,
    measures,
    plant,
    profile,
    sane,
    score,
    segment,
)
from sslig.study import Study, load
from sslig.validation.localisation import LocalisationError

OF_STUDIES = {"segment": segment, "measure": measures}
"""Stages that all detectors share, by name; ``corpus`` and ``plant`` are such too, and ``plant`` takes a job."""

OF_DETECTORS = {
    "train": epochs,
    "score": score,
    "baseline": baseline,
    "attribute": attribute,
    "faithful": faithful,
    "sane": sane,
    "profile": profile,
}
"""Stages of one detector and seed, by name; ``mask`` and ``localise`` are such too, and take a job."""


def main() -> None:
    """Do one stage from the command line, and say so in a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["corpus", "plant", *OF_STUDIES, *OF_DETECTORS, "mask", "localise"])
    parser.add_argument("experiment")
    parser.add_argument("--detector")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--job", help="which masks (sslig.stages.mask_jobs) or kind of planted cue; all by default")
    parser.add_argument("--workers", type=int, default=2, help="processes that build a corpus")
    arguments = parser.parse_args()
    start = time.monotonic()
    try:
        what = _do(arguments, load(arguments.experiment))
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{arguments.stage}{what}: done in {time.monotonic() - start:.0f} s", file=sys.stderr)


def _do(arguments: argparse.Namespace, experiment: Study) -> str:
    """Do the stage; of which detector and seed it was."""
    if arguments.stage == "corpus":
        corpus(experiment, arguments.workers)
        return ""
    if arguments.stage == "plant":
        return _plant(experiment, arguments.job, arguments.workers)
    if arguments.stage in OF_STUDIES:
        OF_STUDIES[arguments.stage](experiment)
        return ""
    name = arguments.detector or next(iter(experiment.detectors))
    seed = experiment.seeds[0] if arguments.seed is None else arguments.seed
    if arguments.stage == "mask":
        masked(experiment, name, seed, _masks_of(experiment, arguments.job))
    elif arguments.stage == "localise":
        return f" {name} seed {seed}{_localise(experiment, name, seed, arguments.job)}"
    else:
        OF_DETECTORS[arguments.stage](experiment, name, seed)
    return f" {name} seed {seed}"


def _plant(experiment: Study, job: str | None, workers: int) -> str:
    """Build the corpora of planted cues; of which kinds they are."""
    kinds = experiment.validation.planted if job is None else [job]
    for kind in kinds:
        plant(experiment, kind, workers)
    return f" {', '.join(kinds)}"


def _localise(experiment: Study, name: str, seed: int, job: str | None) -> str:
    """Look for the planted cues of each kind; why in some there is nothing to look for, which is a result too."""
    told = ""
    for kind in experiment.validation.planted if job is None else [job]:
        try:
            localised(experiment, name, seed, kind)
        except LocalisationError as error:
            told += f", nothing to explain of {kind} ({error})"
    return told


def _masks_of(experiment: Study, job: str | None) -> list[str] | None:
    jobs = mask_jobs(experiment)
    if job is not None and job not in jobs:
        raise ValueError(f"{experiment.path}: no job of masks {job!r}; it has {', '.join(jobs)}")
    return None if job is None else jobs[job]


if __name__ == "__main__":
    main()
