"""The rules of the Snakefile as functions from named inputs to named outputs, and the files that they leave.

A rule is the function ``sslig.pipeline.<rule>.<rule>``. An argument means the same in every rule:

``study``
    The values; with ``--planted KIND`` those of the study of that planted cue.
``name``, ``seed``
    A detector of the study, and its training seed.
``detector``, ``corpus``
    Folders of the trained detector, and of the corpus.
``baseline``, ``nonspeech``
    Mean features of bona fide frames, and of those without speech (`sslig.attribution.baselines`).
``segments``, ``attributions``, ``scores_dev``, ``scores_eval``
    Tables of the rules *segment*, *attribute* and *score*.
``shard``
    Which of the utterances: ``0of4`` is every fourth, from the first on.
``left_out``
    Table to write: ``utterance`` and ``reason`` of the files that could not be read.
"""

from sslig.pipeline.outputs import chosen, corpus_root, files, tables

__all__ = ["chosen", "corpus_root", "files", "tables"]
