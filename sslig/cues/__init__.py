"""Cues that a detector may decide on."""
