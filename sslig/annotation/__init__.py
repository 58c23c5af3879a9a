"""Annotations: what people hear in the regions that detectors point at."""
