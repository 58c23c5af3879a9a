"""The command line: `sslig score`, `sslig explain`, and what goes with them."""
