"""Annotations as Label Studio takes and gives them: JSON tasks with audio regions, and the project that shows them.

A region carries the detector as its label; cue, locality, audibility and comment are controls of that region, so a
region needs no cue. An annotator, a repeat and what else Label Studio has no place for stand in the data of the task,
which it keeps.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from sslig.annotation.imported import Imported, InterchangeError, existing, gathered
from sslig.annotation.table import marked
from sslig.annotation.vocabulary import CUES, LOCALITY
from sslig.files import write_text

AUDIO = "audio"
DECOY = " decoy"
HEARD = {True: "audible", False: "inaudible"}

OF_REGION = {
    "detector": ("labels", "labels"),
    "cue": ("choices", "choices"),
    "locality": ("rating", "rating"),
    "audible": ("choices", "choices"),
    "comment": ("textarea", "text"),
}
"""Control of a region -> its type, and the key of its value."""

OF_TASK = ("general", "similarity")
"""Text areas of the whole recording."""

ABOUT = ("annotator", "utterance", "repeat", "group", "item")


def config(detectors: Sequence[str]) -> str:
    """The labelling interface of a Label Studio project for these detectors, as XML."""
    labels = "".join(f'<Label value="{escape(name)}"/>' for name in detectors)
    cues = "".join(f'<Choice value="{name}" alias="{name}"/>' for name in CUES)
    heard = "".join(f'<Choice value="{word}"/>' for word in HEARD.values())
    texts = "".join(f'<TextArea name="{name}" toName="{AUDIO}"/>' for name in OF_TASK)
    return (
        f'<View><Audio name="{AUDIO}" value="${AUDIO}"/><Labels name="detector" toName="{AUDIO}">{labels}</Labels>'
        f'<Choices name="cue" toName="{AUDIO}" perRegion="true">{cues}</Choices>'
        f'<Rating name="locality" toName="{AUDIO}" maxRating="{LOCALITY[1]}" perRegion="true"/>'
        f'<Choices name="audible" toName="{AUDIO}" perRegion="true">{heard}</Choices>'
        f'<TextArea name="comment" toName="{AUDIO}" perRegion="true"/>{texts}</View>'
    )


def write(path: Path, table: pd.DataFrame, audio: Mapping[str, str] | None = None) -> None:
    """Write a task for each utterance of each annotator; regions that nobody marked are left out.

    Parameters
    ----------
    path
        The JSON file.
    table
        Annotations.
    audio
        Where Label Studio finds each recording, by utterance; none: ``<utterance>.flac``.
    """
    tasks = []
    for (annotator, item), part in table.groupby(["annotator", "item"], sort=False):
        whole = part.iloc[0]
        about = part[list(ABOUT)].to_dict("records")[0]
        source = (audio or {}).get(whole["utterance"], f"{whole['utterance']}.flac")
        results = [one for row in marked(part).to_dict("records") for one in _results(row)]
        results += [_result(f"{annotator}/{item}/{name}", name, "textarea", {"text": [whole[name]]})
                    for name in OF_TASK if whole[name]]  # fmt: skip
        tasks.append({"data": {AUDIO: source, **about}, "annotations": [{"result": results}]})
    write_text(path, json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")


def read(path: Path, annotator: str = "unknown") -> Imported:
    """The annotations of an export of Label Studio, or of what `write` writes; cancelled ones are left out.

    The annotator is the one in the data of the task, else the one who completed it, else `annotator`; the utterance
    is the one in the data, else the name of the recording without its ending.

    Raises
    ------
    InterchangeError
        There is no such file, or it is no list of tasks in JSON.
    """
    what = "a JSON export of Label Studio"
    try:
        tasks = json.loads(existing(path, what))
    except json.JSONDecodeError as error:
        raise InterchangeError(f"{path}: no JSON (line {error.lineno}: {error.msg}); {what} is needed") from error
    if not isinstance(tasks, list):
        raise InterchangeError(f"{path}: {type(tasks).__name__}; a list of tasks is needed")
    return gathered(path, _rows(tasks, annotator))


def _results(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A region as Label Studio has it: one result a control, all with its id and times."""
    number = f"{row['annotator']}/{row['item']}/{row['track']}"
    given = {
        "detector": [row["detector"] + DECOY * row["decoy"]],
        "cue": None if pd.isna(row["cue"]) else [row["cue"]],
        "locality": None if pd.isna(row["locality"]) else int(row["locality"]),
        "audible": None if pd.isna(row["audible"]) else [HEARD[bool(row["audible"])]],
        "comment": [row["comment"]] if row["comment"] else None,
    }
    where = {"start": row["start_s"], "end": row["end_s"], "channel": 0}
    return [
        _result(number, name, OF_REGION[name][0], {**where, OF_REGION[name][1]: value})
        for name, value in given.items() if value is not None
    ]  # fmt: skip


def _result(number: str, name: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": number, "from_name": name, "to_name": AUDIO, "type": kind, "origin": "manual", "value": dict(value)}


def _rows(tasks: list[Any], annotator: str) -> Iterator[tuple[int, str, list[dict[str, Any]] | str]]:
    for number, task in enumerate(tasks, start=1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            yield number, "", "no mapping with data; a task is needed"
            continue
        data = task["data"]
        utterance = str(data.get("utterance") or Path(str(data.get(AUDIO, ""))).stem)
        for one in task.get("annotations") or ():
            if isinstance(one, dict) and not one.get("was_cancelled"):
                about = {column: data[column] for column in ABOUT if data.get(column) is not None}
                about |= {"utterance": utterance, "annotator": data.get("annotator") or _who(one) or annotator}
                yield number, utterance, _regions(one.get("result"), about)


def _who(annotation: Mapping[str, Any]) -> str | None:
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return None if who is None else f"annotator {who}" if isinstance(who, int) else str(who)


def _regions(results: Any, about: Mapping[str, Any]) -> list[dict[str, Any]] | str:
    """The regions of one annotation: results of one id are one region."""
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        return "no list of results; an annotation of Label Studio has one"
    whole = dict.fromkeys(OF_TASK, "")
    by_id: dict[str, dict[str, Any]] = defaultdict(dict)
    for one in results:
        name, value = one.get("from_name"), one.get("value")
        if not isinstance(value, dict) or name not in (*OF_REGION, *OF_TASK):
            return f"a result {name!r}; accepted: {', '.join((*OF_REGION, *OF_TASK))}, each with a value"
        if name in OF_TASK:
            whole[name] = _joined(value.get("text"))
        else:
            by_id[str(one.get("id"))] |= _said(name, value)
    faulty = [number for number, region in by_id.items() if "detector" not in region]
    if faulty:
        return f"region {faulty[0]!r} has no detector; a label of one is needed"
    return [{**about, **whole, **region} for region in by_id.values()]


def _said(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """What one control says of its region."""
    found = value.get(OF_REGION[name][1])
    where = {f"{end}_s": value[end] for end in ("start", "end") if end in value}
    first = found[0] if isinstance(found, list) and found else found
    if name == "detector":
        label = str(first)
        return {**where, "detector": label.removesuffix(DECOY), "decoy": label.endswith(DECOY)}
    if name == "comment":
        return {**where, "comment": _joined(found)}
    if name == "audible":
        return {**where, "audible": {word: flag for flag, word in HEARD.items()}.get(first, first)}
    return {**where, name: first}


def _joined(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text or "")
