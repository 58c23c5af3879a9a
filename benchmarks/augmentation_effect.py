"""Train every detector of a study with and without augmentation, over several seeds, and compare their eval EER.

Run it from the repository: ``python benchmarks/augmentation_effect.py [--experiment experiments/demo.yaml] [--seeds 0
1 2] [--augmentation published] [--write]``. Runs lie below ``runs/<study>-without`` and ``runs/<study>-with``; what is
there is not made again. Differences are paired: the same seeds and the same draws of speakers. ``--write`` keeps the
figures in ``benchmarks/results/augmentation_effect.json``.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from sslig import files, pipeline, scores
from sslig.corpora import protocol
from sslig.pipeline.score import score
from sslig.pipeline.train import train
from sslig.stats import intervals
from sslig.study import Study, load

RESULT = Path(__file__).parent / "results" / "augmentation_effect.json"
EER = {"eer": "spoof_score"}


def eval_scores(study: Study, seeds: list[int], corpus: Path, suffix: str) -> pd.DataFrame:
    """Eval scores of all detectors from all seeds; detectors that are not there are trained."""
    tables = []
    for name in study.detectors:
        for seed in seeds:
            run = study.root / "runs" / f"{study.name}-{suffix}" / name / f"seed{seed}"
            if not (run / "training.json").is_file():
                train(study, name=name, seed=seed, corpus=corpus, output=run)
            with tempfile.TemporaryDirectory() as folder:
                outputs = {key: Path(folder) / f"{key}.parquet" for key in ("scores", "left_out")}
                arguments = {"name": name, "seed": seed, "detector": run / "detector", "corpus": corpus}
                score(study, **arguments, set_name="eval", shard="0of1", **outputs)
                tables.append(scores.read(outputs["scores"]).assign(detector=f"{name} {suffix}"))
    return protocol.with_recordings(corpus, pd.concat(tables, ignore_index=True))


def main() -> None:
    """Print the EER (%) of each detector and the paired difference, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiment", default="experiments/demo.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--augmentation", default="published")
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(RESULT.parents[2])}")
    options = parser.parse_args()
    study = load(options.experiment)
    corpus, trials = pipeline.corpus_root(study), []
    for suffix, augmentation in (("without", None), ("with", options.augmentation)):
        recipe = study.training.model_copy(update={"augmentation": augmentation})
        trials.append(eval_scores(study.model_copy(update={"training": recipe}), options.seeds, corpus, suffix))
    draws = {"recordings": study.evaluation.resample_recordings, "rounds": study.evaluation.rounds, "seed": 0}
    estimates = intervals.estimates(pd.concat(trials, ignore_index=True), EER, **draws)
    pairs = [(f"{name} with", f"{name} without") for name in study.detectors]
    figures = {
        "detectors": pd.concat(part.frame().assign(detector=name) for name, part in estimates.items()),
        "differences": intervals.differences(estimates, pairs, list(EER)),
    }
    for table in figures.values():
        table[["value", "low", "high"]] *= 100
        print(table.round(1).to_string(index=False), end="\n\n")
    if options.write:
        rows = {name: table.to_dict("records") for name, table in figures.items()}
        files.write_json(RESULT, {"asked": vars(options) | {"write": True}, **rows})


if __name__ == "__main__":
    main()
