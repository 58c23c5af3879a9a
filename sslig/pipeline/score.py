"""Score: the spoof logits of one shard of a set."""

from pathlib import Path

from sslig import scores as tables
from sslig import scoring
from sslig.corpora import protocol
from sslig.corpora.protocol import shard_of
from sslig.files import write_parquet
from sslig.models import named
from sslig.models.detector import fingerprint, select_device
from sslig.study import Study


def score(
    study: Study,
    *,
    name: str,
    seed: int,
    detector: Path,
    corpus: Path,
    set_name: str,
    shard: str,
    scores: Path,
    left_out: Path,
) -> None:
    """Score the utterances of a shard of *dev* or *eval*; `scores` has the columns `sslig.scores.COLUMNS`."""
    utterances = shard_of(protocol.load_set(corpus, set_name), shard)
    model = named.load(detector)
    scored, missing = scoring.score(model, utterances, study.scoring, select_device(study.device))
    tables.write(scores, scored.assign(seed=seed, checkpoint=fingerprint(detector))[list(tables.COLUMNS)])
    write_parquet(left_out, missing)
