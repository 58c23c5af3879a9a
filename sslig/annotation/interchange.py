"""Annotations to and from other programs: CSV, Praat TextGrids, Audacity labels and Label Studio.

A TextGrid and an Audacity label read ``glitch 4 audible: a click`` (cue, locality, audible or not, comment), with ``?``
for no cue. They hold marked regions of at least 0.1 ms, cut at the ends of the recording; white space in comments
becomes single spaces, and Audacity keeps microseconds. In Label Studio a region has the detector as its label, and its
task keeps what Label Studio has no place for. Comments are written as typed: open a CSV file as text, because a
spreadsheet may take a comment that begins with ``=`` for a formula.
"""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd

from sslig.annotation.plan import TYPES, conformed, marked, plain, row_of
from sslig.annotation.store import CUES, DETECTORS, LOCALITY
from sslig.cues.tiers import SHORTEST_WRITTEN_S, Tier, read_audacity, read_textgrid, write_audacity, write_textgrid
from sslig.errors import InputError
from sslig.files import atomic, write_text

FORMS: Mapping[str, str] = {
    "release": "the |-separated CSV of the published release, one annotator",
    "tidy": "a CSV with one row a region, everything in it",
    "textgrid": "a folder of Praat TextGrids, one annotator",
    "audacity": "a folder of Audacity label tracks <utterance>.<detector>.txt, one annotator",
    "label_studio": "a JSON export of Label Studio",
}
ENDINGS = {"textgrid": "TextGrid", "audacity": "txt", "label_studio": "json"}

ANNOTATOR = "annotator"
"""Name of the annotator where a file holds none."""

PARTS = {"": "comment", "_cue": "cue", "_loc": "locality", "_audible": "audible"}
ENDS = {"_range/start": "start_s", "_range/end": "end_s"}
"""Columns of a detector in the release, after its name."""

FLAGS = {"true": True, "false": False}
HEARD = {"audible": True, "inaudible": False}
WORDS = {heard: word for word, heard in HEARD.items()}
LABEL = re.compile(rf"({'|'.join(CUES)}|\?)( [1-5])?( audible| inaudible)?(?:: (.+))?")
SYNTAX = "cue, then a locality from 1 to 5, audible or inaudible, and after ': ' a comment: 'glitch 4 audible: a click'"
WHOLE = ("general", "similarity")
REPEAT, DECOY = " repeat", " decoy"
UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the names of uploaded files."""

AUDIO = "audio"
CONTROLS = {
    "detector": ("labels", "labels"),
    "cue": ("choices", "choices"),
    "locality": ("rating", "rating"),
    "audible": ("choices", "choices"),
    **dict.fromkeys(("comment", *WHOLE), ("textarea", "text")),
}
"""Controls in Label Studio: type, and key of the value."""

TASK = ("annotator", "utterance", "repeat", "group", "item")

Rows = Iterator[tuple[int, str, Callable[[], list[dict[str, Any]]]]]
"""Number of a row in its file, utterance, and what gives its regions or raises `InputError`."""


class Imported(NamedTuple):
    """The good rows of a file (`sslig.annotation.plan.TYPES`), and the others, which are left out whole.

    Faults have ``file``, ``row`` (line, tier or task, counted from 1), ``utterance`` and ``fault``.
    """

    table: pd.DataFrame
    faults: pd.DataFrame


def form_of(path: Path) -> str:
    """The form of a file or folder, by its name and first line; `InputError` where none of `FORMS` fits."""
    if path.is_dir():
        for form in ("textgrid", "audacity"):
            if _of_form(path, form):
                return form
    elif path.is_file():
        for form, ending in ENDINGS.items():
            if path.suffix.lower() == f".{ending.lower()}":
                return form
        with path.open("rb") as file:
            first = file.readline()
        if b"|" in first or b"," in first:
            return "release" if b"|" in first else "tidy"
    raise InputError(f"{path}: no known form; accepted: {'; '.join(FORMS.values())}")


def read(
    path: Path, form: str | None = None, annotator: str = ANNOTATOR, known: Collection[str] | None = None
) -> Imported:
    """Read a file, or the folder of a form that has many files, in one of `FORMS` (none: `form_of`).

    `annotator` is the name where the file holds none. With the names of `known` utterances, a row of another one is a
    fault; the eight characters that Label Studio puts before the name of an uploaded file are taken off.

    Raises
    ------
    InputError
        The file as a whole cannot be read.
    """
    form = form or form_of(path)
    rows = {"release": _release_rows, "tidy": _tidy_rows, "label_studio": _task_rows}.get(form, _tier_rows)
    files = _of_form(path, form) if path.is_dir() else [path]
    parts = [_gathered(file, rows(file, annotator), known) for file in files] or [_gathered(path, (), known)]
    return Imported(*(pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True)))


def write(path: Path, table: pd.DataFrame, form: str, duration_s: Mapping[str, float] | None = None) -> None:
    """Write annotations to a file or folder in one of `FORMS`.

    TextGrids and labels end with the recording (`duration_s` by utterance), or with the last mark.

    Raises
    ------
    InputError
        The form cannot hold the table.
    """
    names = table["annotator"].unique().tolist()
    if form in ("release", "textgrid", "audacity") and len(names) > 1:
        raise InputError(f"{path}: the form holds one annotator; there are {', '.join(names)}: choose one")
    if form in ("textgrid", "audacity"):
        _write_tiers(path, table, form, duration_s or {})
    else:
        {"release": _write_release, "tidy": _write_tidy, "label_studio": _write_tasks}[form](path, table)


def label_studio_config(detectors: Sequence[str]) -> str:
    """The labelling interface of a Label Studio project for these detectors, as XML."""
    labels = "".join(f'<Label value="{escape(name)}"/>' for name in detectors)
    cues = "".join(f'<Choice value="{name}" alias="{name}"/>' for name in CUES)
    heard = "".join(f'<Choice value="{word}"/>' for word in HEARD)
    texts = "".join(f'<TextArea name="{name}" toName="{AUDIO}"/>' for name in WHOLE)
    region = f'toName="{AUDIO}" perRegion="true"'
    return (
        f'<View><Audio name="{AUDIO}" value="${AUDIO}"/><Labels name="detector" toName="{AUDIO}">{labels}</Labels>'
        f'<Choices name="cue" {region}>{cues}</Choices><Rating name="locality" maxRating="{LOCALITY[1]}" {region}/>'
        f'<Choices name="audible" {region}>{heard}</Choices><TextArea name="comment" {region}/>{texts}</View>'
    )


def _of_form(folder: Path, form: str) -> list[Path]:
    """The files in a folder that have the ending of a form, in any case."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == f".{ENDINGS[form].lower()}")


def _known(name: str, known: Collection[str] | None) -> str:
    """The utterance that a name in a file stands for."""
    names = [name, UPLOADED.sub("", name)]
    if known is None or (utterance := next((name for name in names if name in known), None)) is None:
        if known is not None:
            raise InputError(f"no utterance {name!r} in the study, which has {len(known):,}, such as {min(known)!r}")
        return name
    return utterance


def _gathered(path: Path, rows: Iterable[tuple[int, str, Callable]], known: Collection[str] | None) -> Imported:
    """Check the rows of a file; a region that stood in an earlier row is a fault, and so is an unknown utterance."""
    good: list[dict[str, Any]] = []
    faults: list[tuple[str, int, str, str]] = []
    seen: dict[tuple, int] = {}
    for number, utterance, regions in rows:
        try:
            checked = [row_of(region | {"utterance": _known(region["utterance"], known)}) for region in regions()]
            keys = [(row["annotator"], row["item"], row["track"]) for row in checked]
            if again := [key for key in keys if key in seen]:
                raise InputError(f"{', '.join(again[0])} stood in row {seen[again[0]]} before; one is accepted")
        except InputError as error:
            faults.append((str(path), number, utterance, str(error)))
        else:
            seen |= dict.fromkeys(keys, number)
            good += checked
    return Imported(conformed(good), pd.DataFrame(faults, columns=["file", "row", "utterance", "fault"]))


def _refuse(fault: str) -> list[dict[str, Any]]:
    raise InputError(fault)


def _text_of(path: Path, what: str) -> str:
    if not path.is_file():
        raise InputError(f"{path}: no such file; {what} is needed")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); {what} is needed") from error


def _table(path: Path, separator: str) -> csv.DictReader:
    return csv.DictReader(io.StringIO(_text_of(path, "a table"), newline=""), delimiter=separator)


def _check_columns(path: Path, header: Sequence[str], needed: Sequence[str]) -> None:
    if missing := [column for column in needed if column not in header]:
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(header)}")


def _release_rows(path: Path, annotator: str) -> Rows:
    rows = _table(path, "|")
    header = rows.fieldnames or []
    names = [match[1] for column in header if (match := re.fullmatch(r"(.+)_cue", column))]
    columns = {name: {f"{name}{part}": column for part, column in (PARTS | ENDS).items()} for name in names}
    needed = ["file", *WHOLE, *(column for part in columns.values() for column in part)]
    _check_columns(path, header, needed if names else ["<detector>_cue"])
    for row in rows:
        yield rows.line_num, row["file"], partial(_release_regions, row, columns, annotator)


def _release_regions(row: Mapping[str, str], columns: Mapping, annotator: str) -> list[dict[str, Any]]:
    _check_length(row)
    about = {"annotator": annotator, "utterance": row["file"], **{column: row[column] for column in WHOLE}}
    return [
        about | {"detector": name} | {column: _value(column, row[field]) for field, column in part.items()}
        for name, part in columns.items()
    ]


def _tidy_rows(path: Path, annotator: str) -> Rows:
    rows = _table(path, ",")
    header = rows.fieldnames or []
    _check_columns(path, header, ["annotator", "utterance", "detector"])
    if unknown := [column for column in header if column not in TYPES]:
        raise InputError(f"{path}: unknown column {unknown[0]!r}; accepted: {', '.join(TYPES)}")
    for row in rows:
        yield rows.line_num, row["utterance"] or "", partial(_tidy_regions, row)


def _tidy_regions(row: Mapping[str, str]) -> list[dict[str, Any]]:
    _check_length(row)
    return [{column: _value(column, cell) for column, cell in row.items() if cell}]


def _check_length(row: Mapping[str | None, str | None]) -> None:
    if None in row or None in row.values():
        raise InputError(f"not as many fields as the header has ({len(row.keys() - {None})})")


def _write_release(path: Path, table: pd.DataFrame) -> None:
    """Write one row an utterance; decoys, repeats and proposed regions have no place in the release."""
    table, ranks = plain(table), {name: rank for rank, name in enumerate(DETECTORS)}
    names = sorted(set(table["detector"]), key=lambda name: (ranks.get(name, len(ranks)), name))
    utterances = table["utterance"].unique()
    whole = table.drop_duplicates("utterance").set_index("utterance")
    regions = table.set_index(["utterance", "detector"]).map(_cell).unstack()
    cells = {"file": utterances, "general": whole["general"]}
    for columns in (PARTS, ENDS):
        cells |= {f"{name}{part}": regions[column, name] for name in names for part, column in columns.items()}
    cells |= {"similarity": whole["similarity"], **{f"{name}_range": "" for name in names}}
    _write_cells(path, pd.DataFrame(cells, index=utterances).fillna(""), "|", "\r\n")


def _write_tidy(path: Path, table: pd.DataFrame) -> None:
    _write_cells(path, table[list(TYPES)].map(_cell), ",", "\n")


def _write_cells(path: Path, cells: pd.DataFrame, separator: str, line_end: str) -> None:
    with atomic(path) as part:
        cells.to_csv(part, sep=separator, lineterminator=line_end, index=False)


def _value(column: str, cell: str) -> Any:
    """The value of a cell; what cannot be converted stays text, which the check of its field refuses."""
    if TYPES[column] in ("bool", "boolean"):
        return FLAGS.get(cell.lower(), cell) if cell else None
    if TYPES[column] == "str":
        return cell or None
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def _cell(value: Any) -> str:
    """A value as text: whole seconds without a point, as in the release; nothing for a missing value."""
    if pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else str(value)


def _write_tiers(folder: Path, table: pd.DataFrame, form: str, duration_s: Mapping[str, float]) -> None:
    """Write a TextGrid an utterance, with a tier a detector, or a label track an utterance and detector."""
    for (utterance, repeat), part in marked(table).groupby(["utterance", "repeat"], sort=False):
        path = folder / f"{_file_name(utterance)}{REPEAT * repeat}.{ENDINGS[form]}"
        end_s = float(duration_s.get(utterance, part["end_s"].max()))
        part = part.assign(start_s=part["start_s"].clip(lower=0), end_s=part["end_s"].clip(upper=end_s))
        rows = part[part["end_s"] - part["start_s"] >= SHORTEST_WRITTEN_S].to_dict("records")
        names = [f"{row['detector']}{DECOY * row['decoy']}" for row in rows]
        tiers = [
            Tier(name, [row["start_s"]], [row["end_s"]], (_label(row),), end_s, {})
            for name, row in zip(names, rows, strict=True)
        ]
        if form == "textgrid" and tiers:
            texts = {name: " ".join(rows[0][name].split()) for name in WHOLE}
            tiers += [Tier(name, [0.0], [end_s], (text,), end_s, {}) for name, text in texts.items() if text]
            write_textgrid(path, tiers)
        elif form == "audacity":
            for tier in tiers:
                write_audacity(path.with_name(f"{path.stem}.{_file_name(tier.name)}.txt"), tier)


def _file_name(name: str) -> str:
    if name in {".", ".."} or "/" in name or "\\" in name:
        raise InputError(f"{name!r} cannot name a file; a plain name is needed")
    return name


def _judgements(row: Mapping[str, Any]) -> dict[str, Any]:
    """The judgements of a region that are there, with the words of `HEARD`."""
    given = {name: row[name] for name in ("cue", "locality", "audible") if not pd.isna(row[name])}
    return {name: WORDS[bool(value)] if name == "audible" else value for name, value in given.items()}


def _label(row: Mapping[str, Any]) -> str:
    words = ({"cue": "?"} | _judgements(row)).values()
    comment = " ".join(row["comment"].split())
    return " ".join(map(str, words)) + (f": {comment}" if comment else "")


def _tier_rows(path: Path, annotator: str) -> Rows:
    """The regions of a TextGrid, a tier each, or of a label track ``<utterance>.<detector>.txt``."""
    utterance, detector = path.stem, ""
    if path.suffix.lower() == ".txt":
        utterance, _, detector = path.stem.rpartition(".")
    if not utterance:
        yield 0, "", partial(_refuse, "a name without an utterance; <utterance>.<detector>.txt is needed")
        return
    try:
        tiers = [read_audacity(path, detector, np.finfo(float).max)] if detector else read_textgrid(path)
    except InputError as error:
        yield 0, utterance, partial(_refuse, str(error))
        return
    about = {"annotator": annotator, "utterance": utterance.removesuffix(REPEAT), "repeat": utterance.endswith(REPEAT)}
    about |= {tier.name: tier.labels[0] for tier in tiers if tier.name in WHOLE and len(tier)}
    for number, tier in enumerate((tier for tier in tiers if tier.name not in WHOLE), start=1):
        yield number, utterance, partial(_tier_regions, tier, about)


def _tier_regions(tier: Tier, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    if len(tier) != 1:
        raise InputError(f"tier {tier.name!r} has {len(tier)} regions; one is accepted")
    match = LABEL.fullmatch(tier.labels[0])
    if match is None:
        raise InputError(f"tier {tier.name!r}: label {tier.labels[0]!r}; accepted: {SYNTAX}; cues: {', '.join(CUES)}")
    cue, locality, heard, comment = match.groups()
    region = {"detector": tier.name.removesuffix(DECOY), "decoy": tier.name.endswith(DECOY), "comment": comment}
    region |= {"cue": None if cue == "?" else cue, "locality": int(locality) if locality else None}
    region |= {"audible": HEARD[heard.strip()] if heard else None}
    return [{**about, **region, "start_s": float(tier.start_s[0]), "end_s": float(tier.end_s[0])}]


def _write_tasks(path: Path, table: pd.DataFrame) -> None:
    """Write a task for each utterance of each annotator, with its marked regions."""
    tasks = []
    for (annotator, item), part in table.groupby(["annotator", "item"], sort=False):
        about = part[[*TASK, *WHOLE]].to_dict("records")[0]
        texts = {name: [text] for name in WHOLE if (text := about.pop(name))}
        results = [result for row in marked(part).to_dict("records") for result in _results(row)]
        results += [_result(f"{annotator}/{item}/{name}", name, text) for name, text in texts.items()]
        data = {AUDIO: f"{about['utterance']}.flac", **about}
        tasks.append({"data": data, "annotations": [{"result": results}]})
    write_text(path, json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")


def _results(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One result for each control of a region, all with its id and times."""
    judged = {name: int(value) if name == "locality" else [value] for name, value in _judgements(row).items()}
    values = {"detector": [row["detector"] + DECOY * row["decoy"]], **judged}
    values |= {"comment": [row["comment"]]} if row["comment"] else {}
    number = f"{row['annotator']}/{row['item']}/{row['track']}"
    where = {"start": row["start_s"], "end": row["end_s"], "channel": 0}
    return [_result(number, name, value, **where) for name, value in values.items()]


def _result(number: str, name: str, content: Any, **where: float) -> dict[str, Any]:
    kind, key = CONTROLS[name]
    about = {"id": number, "from_name": name, "to_name": AUDIO, "type": kind, "origin": "manual"}
    return about | {"value": {**where, key: content}}


def _task_rows(path: Path, annotator: str) -> Rows:
    """The regions of each annotation that was not cancelled.

    The annotator is that of the data of the task, else who completed it, else `annotator`; the utterance is that of
    the data, else the name of the recording.
    """
    what = "a JSON export of Label Studio"
    try:
        tasks = json.loads(_text_of(path, what))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: no JSON (line {error.lineno}: {error.msg}); {what} is needed") from error
    if not isinstance(tasks, list):
        raise InputError(f"{path}: {type(tasks).__name__}; a list of tasks is needed")
    for number, task in enumerate(tasks, start=1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            yield number, "", partial(_refuse, "no mapping with data; a task is needed")
            continue
        data = task["data"]
        # The path of a URL, whose query may hold dots and slashes too.
        utterance = str(data.get("utterance") or Path(unquote(urlsplit(str(data.get(AUDIO, ""))).path)).stem)
        for annotation in task.get("annotations") or ():
            if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
                about = {column: data[column] for column in TASK if data.get(column) is not None}
                about |= {"utterance": utterance, "annotator": data.get("annotator") or _who(annotation) or annotator}
                yield number, utterance, partial(_task_regions, annotation.get("result"), about)


def _who(annotation: Mapping[str, Any]) -> str | None:
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return None if who is None else f"annotator {who}" if isinstance(who, int) else str(who)


def _task_regions(results: Any, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The regions of one annotation: results with one id are one region."""
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise InputError("no list of results; an annotation of Label Studio has one")
    texts, regions = dict.fromkeys(WHOLE, ""), defaultdict(dict)
    for result in results:
        name, value = result.get("from_name"), result.get("value")
        if not isinstance(value, dict) or name not in CONTROLS:
            raise InputError(f"a result {name!r}; accepted: {', '.join(CONTROLS)}, each with a value")
        content = value.get(CONTROLS[name][1])
        contents = content if isinstance(content, list) else [content]
        text, first = "\n".join("" if part is None else str(part) for part in contents), next(iter(contents), None)
        if name in WHOLE:
            texts[name] = text
            continue
        values = {f"{end}_s": value[end] for end in ("start", "end") if end in value}
        if name == "detector":
            values |= {"detector": str(first).removesuffix(DECOY), "decoy": str(first).endswith(DECOY)}
        else:
            values |= {name: {"comment": text, "audible": HEARD.get(str(first), first)}.get(name, first)}
        regions[str(result.get("id"))] |= values
    if faulty := [number for number, region in regions.items() if "detector" not in region]:
        raise InputError(f"region {faulty[0]!r} has no detector; a label of one is needed")
    return [{**about, **texts, **region} for region in regions.values()]
