"""The rules of the Snakefile as functions from named inputs to named outputs, and the files that they leave."""

from sslig.pipeline.outputs import chosen, corpus, files, tables

__all__ = ["chosen", "corpus", "files", "tables"]
