"""The one direction of the project: ``SPOOF = 1``, a higher score means more likely spoof.

Scores are called ``spoof_score`` and are logits; a positive attribution is evidence for spoof. The official
direction of ASVspoof (higher = bona fide) appears only where official files are written (`sslig.scores`).
"""

BONAFIDE = 0
SPOOF = 1

KEYS = {"bonafide": BONAFIDE, "spoof": SPOOF}
"""The words of the ``key`` column of an ASVspoof 5 protocol and the labels they stand for."""

HIGHER_IS_SPOOF, HIGHER_IS_BONAFIDE = DIRECTIONS = ("higher_is_spoof", "higher_is_bonafide")
"""What a higher score of a detector from elsewhere means; it is declared once, where the detector is named."""
