"""Statistics of scores, cues and annotations: metrics, bootstrap, tests, calibration, agreement."""
