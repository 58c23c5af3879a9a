"""The one direction of the project: ``SPOOF = 1``, a higher score means more likely spoof.

Scores are called ``spoof_score`` and are logits; a positive attribution is evidence for spoof. The official
direction of ASVspoof (higher = bona fide) appears only where official files are written (`sslig.scores`).
"""

BONAFIDE = 0
SPOOF = 1

KEYS = {"bonafide": BONAFIDE, "spoof": SPOOF}
"""The words of the ``key`` column of an ASVspoof 5 protocol and the labels they stand for."""
