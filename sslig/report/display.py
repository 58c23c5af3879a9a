"""How tables and numbers look on a page."""

from sslig.plots.display import shown  # noqa: F401


def listed(words: list[str]) -> str:
    """The words as English lists them: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def span(low: float, high: float) -> str:
    """Two percentages as a range, or one where they round to the same."""
    return f"{low:.0f} %" if round(low) == round(high) else f"{low:.0f} to {high:.0f} %"
