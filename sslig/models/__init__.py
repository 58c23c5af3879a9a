"""Detectors: an SSL backbone and one of three heads, batch first, one spoof logit."""
