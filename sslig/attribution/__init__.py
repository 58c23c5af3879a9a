"""Attributions of the spoof logit to SSL features, each with the proof of how far it adds up."""
