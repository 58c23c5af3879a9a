"""The index over explained recordings: one HTML page with pictures, scores and certificates, that loads nothing."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from sslig.files import write_text

INDEX, FREQUENCY = "index.html", ".frequency.png"

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; }
article { display: grid; grid-template-columns: 20rem 1fr; gap: 1rem; padding: 1rem 0; border-top: 1px solid #8886; }
article img { width: 100%; background: white; }
h2 { margin: 0 0 .5rem; font-size: 1.1rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; text-align: right; }
.spoof { color: #b45309; } .bonafide { color: #0369a1; }
@media (prefers-color-scheme: dark) { .spoof { color: #fbbf24; } .bonafide { color: #7dd3fc; } }
@media (max-width: 48rem) { article { grid-template-columns: 1fr; } }
</style>
</head>
<body>
<h1>$title</h1>
<p>Orange is evidence for spoof, blue for bona fide. Scores are spoof logits; a higher score means more likely spoof.
The residual is what the sum of a map lacks of the score less that of its start; where the start lies at the threshold
of the decision, the evidence adds up to the decision. All numbers: <a href="explanations.csv">explanations.csv</a>.</p>
$articles
$faults
</body>
</html>
""")

COLUMNS = (
    *("detector", "score", "LLR", "decision", "method", "status"),
    *("residual", "start - threshold", "error of a frame (% of the peak)"),
)


def write(folder: Path, recordings: Sequence[Any], left_out: pd.DataFrame) -> Path:
    """Write the index of `sslig.cli.explain.Explained` recordings and of the files left out, and return its path."""
    values = {
        "title": f"{len(recordings)} explained recording{'s' if len(recordings) > 1 else ''}",
        "articles": "\n".join(_article(folder, recording) for recording in recordings),
        "faults": _faults(left_out),
    }
    write_text(folder / INDEX, PAGE.substitute(values))
    return folder / INDEX


def stem_of(name: str) -> str:
    """The name of the files of a recording: its own, with its folders before it."""
    return re.sub(r"[^\w.-]", "_", name).strip(".") or "recording"


def _article(folder: Path, recording: Any) -> str:
    stem, name = escape(stem_of(recording.name)), escape(recording.name)
    kinds = {"page": ".html", "picture": ".png", "frames": ".csv", "regions": ".TextGrid", "all": ".json"}
    if (folder / f"{stem_of(recording.name)}{FREQUENCY}").is_file():
        kinds["time and frequency"] = FREQUENCY
    links = " · ".join(f'<a href="{stem}{ending}">{kind}</a>' for kind, ending in kinds.items())
    picture = f'<a href="{stem}.html"><img src="{stem}.png" alt="Evidence over time in {name}" loading="lazy"></a>'
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    rows = "".join(_row(row) for row in recording.certificates().itertuples())
    about = f"<p>{recording.duration_s:.2f} s · {links}</p>"
    return f"<article>{picture}<div><h2>{name}</h2>{about}<table><tr>{head}</tr>{rows}</table></div></article>"


def _row(row: Any) -> str:
    decision = f'<td class="{row.decision}">{row.decision.replace("bonafide", "bona fide")}</td>'
    numbers = [_number(value, "+.2f") for value in (row.spoof_score, row.spoof_llr)]
    last = [_number(row.residual, "+.3f"), _number(row.threshold_gap, "+.2f"), _number(100 * row.map_error, ".0f")]
    texts = [f"<td>{escape(str(value))}</td>" for value in (row.detector, row.method, row.status)]
    return f"<tr>{texts[0]}{''.join(numbers)}{decision}{''.join(texts[1:])}{''.join(last)}</tr>"


def _number(value: float, form: str) -> str:
    return f'<td class="number">{"" if pd.isna(value) else format(float(value), form)}</td>'


def _faults(left_out: pd.DataFrame) -> str:
    if left_out.empty:
        return ""
    rows = "".join(f"<li>{escape(row.path)}: {escape(row.reason)}</li>" for row in left_out.itertuples())
    return f"<h2>Left out</h2><ul>{rows}</ul>"
