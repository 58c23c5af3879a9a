"""The rule ``measure``: artefact measures of utterances of a set."""

from pathlib import Path

from sslig import files
from sslig.corpora import protocol
from sslig.corpora.protocol import shard_of, stratified
from sslig.cues import artefacts as measures
from sslig.study import Study


def measure(study: Study, *, corpus: Path, measured: str, shard: str, artefacts: Path, left_out: Path) -> None:
    """Write the measures (`sslig.cues.artefacts`) of the utterances of `shard`, and those that cannot be measured.

    The study measures all of the set `measured`, or the beginning of a draw, which for *eval* begins with the explained
    utterances. *train* and *dev* fit the shortcut detector, which goes without the slow measures of the voice.

    Raises
    ------
    CorpusError
        The protocol is faulty, or none of the utterances can be measured.
    """
    options, utterances = study.artefacts, protocol.load_set(corpus, measured)
    if options.utterances is not None:
        utterances = stratified(utterances, options.utterances, study.corpus.seed)
    with_f0 = options.f0 and measured == "eval"
    table, missing = measures.table(shard_of(utterances, shard), f0=with_f0, workers=options.workers)
    files.write_parquet(artefacts, table)
    files.write_parquet(left_out, missing)
