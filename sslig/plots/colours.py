"""Colours, line styles and markers of labels and detectors, the same in figures and in the browser.

The colours are those of Okabe and Ito, which colour-blind readers can distinguish. Everywhere evidence for spoof is
vermillion and evidence for bona fide is blue; detectors have other colours, and differ in line style too.
"""

from collections.abc import Iterable

from sslig.labels import BONAFIDE, SPOOF

BLACK, GREY = "#000000", "#6E6E6E"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

EVIDENCE = {BONAFIDE: BLUE, SPOOF: VERMILLION}
"""Colour of each label, and of the evidence for it."""

DETECTORS = {"aasist": (GREEN, "-", "o"), "camhfa": (PURPLE, "--", "s"), "sls": (SKY, "-.", "^")}
"""Colour, line style and marker of the project's heads."""

FREE = [(ORANGE, ":", "D"), (BLACK, "-", "v"), (BLUE, "--", "P"), (VERMILLION, "-.", "X"), (YELLOW, "-", "*")]
"""The same for detectors of other names, in turn."""


def detector_styles(names: Iterable[str]) -> dict[str, dict]:
    """Keywords of a line for each detector: ``color``, ``linestyle`` and ``marker``.

    A detector called ``aasist``, ``camhfa`` or ``sls``, in any spelling such as ``CA-MHFA``, looks the same in every
    figure; others take the remaining styles in sorted order.
    """
    styles, others = {}, 0
    for name in sorted(set(names)):
        known = [head for head in DETECTORS if head == "".join(filter(str.isalnum, name.lower()))]
        look = DETECTORS[known[0]] if known else FREE[others % len(FREE)]
        others += not known
        styles[name] = dict(zip(("color", "linestyle", "marker"), look, strict=True))
    return styles
