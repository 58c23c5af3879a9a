"""The rules of the Snakefile as functions from named inputs to named outputs, and the files that they leave."""

from sslig.pipeline.outputs import corpus, files, tables

__all__ = ["corpus", "files", "tables"]
