import pandas as pd

from sslig.files import write_parquet
from sslig.pipeline.gather import gather


def test_the_number_of_shards_leaves_no_trace(tmp_path, experiment):
    rows = pd.DataFrame({"utterance": list("dabc"), "value": [4.0, 1.0, 2.0, 3.0]})
    for n in (1, 3):
        shards = [tmp_path / f"scores.{shard}of{n}.parquet" for shard in range(n)]
        for shard, path in enumerate(shards):
            write_parquet(path, rows.iloc[shard::n])
        gather(experiment, shards=shards, tables=[tmp_path / "scores.parquet"])
        assert pd.read_parquet(tmp_path / "scores.parquet").to_dict("list") == {
            "utterance": list("abcd"),
            "value": [1.0, 2.0, 3.0, 4.0],
        }


def test_each_table_gets_its_own_shards_and_an_empty_one_keeps_its_columns(tmp_path, experiment):
    empty = pd.DataFrame({"utterance": [], "reason": []}, dtype=object)
    shards = [tmp_path / f"{name}.{shard}of2.parquet" for name in ("masks", "left_out_masks") for shard in range(2)]
    for path in shards:
        write_parquet(path, empty if path.name.startswith("left_out") else pd.DataFrame({"utterance": [path.name]}))
    gather(experiment, shards=shards, tables=[tmp_path / "masks.parquet", tmp_path / "left_out_masks.parquet"])
    assert pd.read_parquet(tmp_path / "masks.parquet")["utterance"].tolist() == [shards[0].name, shards[1].name]
    assert list(pd.read_parquet(tmp_path / "left_out_masks.parquet")) == ["utterance", "reason"]
