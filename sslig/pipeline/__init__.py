"""The rules of the Snakefile as functions from named inputs to named outputs."""
