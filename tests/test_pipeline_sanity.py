import pandas as pd

from sslig.pipeline.sanity import METHODS, sanity


def test_the_first_utterances_are_checked_with_fixed_methods(explained_study, tmp_path):
    validation = explained_study.validation.model_copy(update={"utterances": 2, "draws": 3, "methods": ["random"]})
    study, folder = explained_study.model_copy(update={"validation": validation}), explained_study.run("camhfa", 0)
    inputs = {name: folder / f"{name}.safetensors" for name in ("baseline", "nonspeech")}
    inputs |= {
        "detector": folder / "detector",
        "corpus": study.corpus_root,
        "scores_dev": folder / "scores_dev.parquet",
    }
    paths = {name: tmp_path / f"{name}.parquet" for name in ("sanity", "left_out")}
    sanity(study, name="camhfa", seed=0, **inputs, **paths)
    table = pd.read_parquet(paths["sanity"])
    assert table["utterance"].nunique() == 2
    assert set(table["method"]) == set(METHODS)
    assert {"randomised_cascading", "max_sensitivity", "steps"} <= set(table["statistic"])
    assert set(table["detector"]) == {"camhfa"}
    assert pd.read_parquet(paths["left_out"]).empty
