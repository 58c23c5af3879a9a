"""The rule decide: the classes of trials at thresholds of dev."""

import numpy as np
import pandas as pd

from sslig.pipeline.decide import POINTS, decide
from sslig.stats.metrics import by_class, operating_point


def test_trials_are_decided_at_the_thresholds_of_dev(tmp_path, rng):
    sets = {}
    for name, n in (("dev", 40), ("eval", 30)):
        key = np.where(np.arange(n) % 2, "spoof", "bonafide")
        scores = (key == "spoof") + rng.normal(size=n)
        sets[name] = pd.DataFrame({"utterance": [f"{name}{i}" for i in range(n)], "key": key, "spoof_score": scores})
        sets[name].to_parquet(tmp_path / f"{name}.parquet")
    files = {f"scores_{name}": tmp_path / f"{name}.parquet" for name in sets}
    decide(None, **files, decisions=tmp_path / "decisions.tsv")
    table = pd.read_csv(tmp_path / "decisions.tsv", sep="\t")
    assert table["utterance"].tolist() == sets["eval"]["utterance"].tolist()
    for name, (kind, rate) in POINTS.items():
        threshold = operating_point(*by_class(sets["dev"]), kind, rate).threshold
        assert table[f"threshold_{name}"].tolist() == [threshold] * 30
        expected = np.where(sets["eval"]["spoof_score"] >= threshold, "spoof", "bonafide")
        assert (table[f"decision_{name}"] == expected).all()
