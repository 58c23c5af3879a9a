"""Annotations to other programs and back: what each form keeps, and faults that name file, row and what is accepted."""

import json

import numpy as np
import pandas as pd
import pytest

from sslig.annotation import interchange
from sslig.annotation.plan import conformed, row_of
from sslig.errors import InputError

ENDINGS = {"release": ".csv", "tidy": ".csv", "textgrid": "", "audacity": "", "label_studio": ".json"}
RELEASE = "file|general|sls|sls_cue|sls_loc|sls_audible|sls_range/start|sls_range/end|similarity|sls_range"
TEXT = 'says "hiss" | loud <b>&</b>\nnext line; = 1'


def table(**changed):
    """Two utterances of one annotator, of two detectors: all judged, then one mark without a cue and one untouched."""
    first = {"utterance": "E_1", "general": "flat", "similarity": "none | none"}
    glitch = {"start_s": 0.0, "end_s": 0.8436228208844995, "cue": "glitch", "locality": 5, "audible": True}
    noise = {"start_s": 0.5, "end_s": 2.0, "cue": "noise", "locality": 1, "audible": False}
    rows = [
        first | glitch | {"detector": "aasist", "comment": TEXT},
        first | noise | {"detector": "sls"},
        {"utterance": "E_2", "detector": "aasist", "start_s": -0.25, "end_s": 0.35, "locality": 3},
        {"utterance": "E_2", "detector": "sls", "locality": 3, "audible": False},
    ]
    return conformed([row_of({"annotator": "Ann"} | row | changed) for row in rows])


def round_trip(tmp_path, form, written, **options):
    path = tmp_path / f"out{ENDINGS[form]}"
    interchange.write(path, written, form, **options)
    assert interchange.form_of(path) == form
    return interchange.read(path, annotator="Ann")


def test_the_reference_comes_back_byte_for_byte(reference, tmp_path):
    path = reference / "published_annotations.csv"
    imported = interchange.read(path, annotator="published")
    assert (imported.table["utterance"].nunique(), len(imported.table), len(imported.faults)) == (101, 303, 0)
    interchange.write(tmp_path / "again.csv", imported.table, "release")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
    interchange.write(tmp_path / "tidy.csv", imported.table, "tidy")
    pd.testing.assert_frame_equal(interchange.read(tmp_path / "tidy.csv").table, imported.table)


def test_a_release_file_with_rows_that_nobody_touched_comes_back_byte_for_byte(tmp_path):
    lines = [RELEASE, "E_1|||glitch|4|true|0|0.25||", "E_2||||3|false||||", 'E_3|"a ""b"""||||||||', "E_4|||||||||"]
    path = tmp_path / "release.csv"
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    imported = interchange.read(path)
    interchange.write(tmp_path / "again.csv", imported.table, "release")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_the_release_form_has_no_decoys_repeats_or_second_annotator(tmp_path):
    mixed = pd.concat([table(), table(decoy=True), table(repeat=True)])
    imported = round_trip(tmp_path, "release", mixed)
    pd.testing.assert_frame_equal(imported.table, table())
    assert imported.faults.empty
    for form in ("release", "textgrid", "audacity"):
        with pytest.raises(InputError, match=r"holds one annotator; there are Ann, Bob"):
            interchange.write(tmp_path / "two", pd.concat([table(), table(annotator="Bob")]), form)


def test_tidy_and_label_studio_keep_annotators_decoys_and_repeats(tmp_path):
    parts = [table(), table(annotator="Bob"), table(decoy=True), table(repeat=True)]
    mixed = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(round_trip(tmp_path, "tidy", mixed).table, mixed)
    imported = round_trip(tmp_path, "label_studio", mixed[mixed["end_s"].notna()]).table
    key = ["annotator", "utterance", "repeat", "decoy", "detector"]
    expected = mixed[mixed["end_s"].notna()].sort_values(key, ignore_index=True)
    columns = [*key, "start_s", "end_s", "cue", "locality", "audible", "comment", "general", "similarity"]
    pd.testing.assert_frame_equal(imported.sort_values(key, ignore_index=True)[columns], expected[columns])


@pytest.mark.parametrize("form", ["textgrid", "audacity"])
def test_tiers_keep_regions_and_lose_what_their_docstring_says(tmp_path, form):
    imported = round_trip(tmp_path, form, table(), duration_s={"E_1": 1.5, "E_2": 3.0}).table
    assert [*zip(imported["utterance"], imported["detector"], strict=True)] == [
        ("E_1", "aasist"),
        ("E_1", "sls"),
        ("E_2", "aasist"),
    ]
    first = imported.iloc[0]
    assert first["comment"] == 'says "hiss" | loud <b>&</b> next line; = 1'
    assert (first["cue"], first["locality"], first["audible"]) == ("glitch", 5, True)
    assert first["general"] == ("flat" if form == "textgrid" else "")
    np.testing.assert_allclose(imported["start_s"], [0, 0.5, 0], atol=1e-6)
    tolerance = 0 if form == "textgrid" else 1e-6
    np.testing.assert_allclose(imported["end_s"], [0.8436228208844995, 1.5, 0.35], atol=tolerance)
    assert pd.isna(imported.iloc[2]["cue"])
    assert (imported.iloc[2]["locality"], pd.isna(imported.iloc[2]["audible"])) == (3, True)


@pytest.mark.parametrize("form", ["textgrid", "audacity"])
def test_tiers_and_files_tell_decoys_and_repeats_apart_and_leave_out_what_is_outside(tmp_path, form):
    mixed = pd.concat([table(), table(decoy=True), table(repeat=True)]).query("end_s > 0.5")
    imported = round_trip(tmp_path / "mixed", form, mixed).table
    assert (len(imported), imported["decoy"].sum(), imported["repeat"].sum()) == (6, 2, 2)
    short = round_trip(tmp_path / "short", form, table(), duration_s={"E_1": 0.5}).table
    assert (short["utterance"] + short["detector"]).tolist() == ["E_1aasist", "E_2aasist"]
    with pytest.raises(InputError, match="cannot name a file"):
        interchange.write(tmp_path / "out", table(utterance="../E_1", item="x"), form)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("E_2|||hum|4|true|0|1||", "cue is 'hum'; accepted: glitch, phoneme"),
        ("E_2|||glitch|9|true|0|1||", "locality is 9.0; accepted: a whole number from 1"),
        ("E_2|||glitch|many|true|0|1||", "locality is 'many'"),
        ("E_2|||glitch|4|yes|0|1||", "audible is 'yes'; accepted: true or false"),
        ("E_2|||glitch|4|true|soon|1||", "start_s is 'soon'; accepted: a number of seconds"),
        ("E_2|||glitch|4|true|2|1||", "from 2.0 to 1.0 s; it must end after it begins"),
        ("E_2|||glitch", "not as many fields as the header has (10)"),
        ("E_1|||glitch|4|true|0|1||", "stood in row 2 before"),
        ("|||glitch|4|true|0|1||", "utterance"),
    ],
)
def test_bad_rows_are_listed_and_good_ones_kept(tmp_path, line, fault):
    path = tmp_path / "release.csv"
    lines = [RELEASE, "E_1|||glitch|4|true|0|1||", line, '"E_3"|"two\nlines"||||||||', "E_4|||||||||"]
    path.write_text("\n".join(lines))
    imported = interchange.read(path)
    (row,) = imported.faults.to_dict("records")
    assert (row["file"], row["row"]) == (str(path), 3)
    assert fault in row["fault"]
    assert imported.table["utterance"].tolist() == ["E_1", "E_3", "E_4"]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.csv", "file|general\n", "no column <detector>_cue; it has file, general"),
        ("a.csv", "file|sls_cue\n", "no column general, similarity, sls, sls_loc"),
        ("a.csv", "annotator,utterance\n", "no column detector"),
        ("a.csv", "annotator,utterance,detector,score\n", "unknown column 'score'; accepted: annotator"),
        ("a.csv", "one\n", "no known form; accepted: the |-separated"),
        ("a.json", "{", "no JSON"),
        ("a.json", "{}", "dict; a list of tasks is needed"),
        ("a.json", "\udce9", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, text, fault):
    path = tmp_path / name
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as caught:
        interchange.read(path)
    assert str(path) in str(caught.value)
    assert fault in str(caught.value)
    with pytest.raises(InputError, match=r"no such file|no known form"):
        interchange.read(tmp_path / "none.csv")


def test_faults_of_tiers_name_file_and_label(tmp_path):
    interchange.write(tmp_path / "grids", table(), "textgrid")
    broken = tmp_path / "grids" / "E_1.TextGrid"
    broken.write_text(broken.read_text().replace("glitch 5", "glitch five"))
    (tmp_path / "grids" / "E_3.TextGrid").write_text("no grid")
    imported = interchange.read(tmp_path / "grids")
    assert imported.table["utterance"].tolist() == ["E_1", "E_2"]
    assert imported.faults["utterance"].tolist() == ["E_1", "E_3"]
    assert "accepted: cue, then a locality" in imported.faults["fault"].iloc[0]
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks" / "E_1.sls.txt").write_text("0.1\t0.2\tnoise 2\n0.3\t0.4\tnoise\n")
    (tmp_path / "tracks" / "lone.txt").write_text("0.1\t0.2\tnoise\n")
    assert interchange.read(tmp_path / "tracks").faults["fault"].tolist() == [
        "tier 'sls' has 2 regions; one is accepted",
        "a name without an utterance; <utterance>.<detector>.txt is needed",
    ]


def export(*results, **task):
    """A task as Label Studio exports it."""
    common = {"id": "r1", "to_name": "audio"}
    made = [common | {"from_name": name, "value": value} for name, value in results]
    annotation = {"result": made, "completed_by": {"id": 3, "email": "ann@example.org"}, "was_cancelled": False}
    return {"id": 1, "data": {"audio": "/data/upload/E_9.flac"}, "annotations": [annotation | task]}


REGION = ("detector", {"start": 0.5, "end": 1.5, "channel": 0, "labels": ["camhfa"]})


def test_an_export_of_label_studio_is_read(tmp_path):
    judged = [
        ("cue", {"choices": ["breath"]}),
        ("locality", {"rating": 2}),
        ("audible", {"choices": ["inaudible"]}),
        ("comment", {"text": ["one", "two"]}),
        ("general", {"text": ["odd"]}),
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([export(REGION, *judged), export(REGION, was_cancelled=True)]))
    (row,) = interchange.read(path).table.to_dict("records")
    expected = {"annotator": "ann@example.org", "utterance": "E_9", "detector": "camhfa", "start_s": 0.5, "end_s": 1.5}
    expected |= {"cue": "breath", "locality": 2, "audible": False, "comment": "one\ntwo", "general": "odd"}
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        (export(("cue", {"choices": ["breath"]})), "region 'r1' has no detector"),
        (export(REGION, ("cue", {"choices": ["hum"]})), "cue is 'hum'"),
        (export(REGION, ("other", {})), "a result 'other'; accepted: detector, cue"),
        (export(result=7), "no list of results"),
        (7, "a task is needed"),
    ],
)
def test_a_bad_task_is_listed_and_the_good_one_kept(tmp_path, task, fault):
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task, export(REGION, completed_by=7)]))
    imported = interchange.read(path)
    assert imported.table["annotator"].tolist() == ["annotator 7"]
    assert imported.faults["row"].tolist() == [1]
    assert fault in imported.faults["fault"].iloc[0]


def test_the_project_of_label_studio_escapes_names():
    assert '<Label value="a&quot;&lt;b&gt;"/>' in interchange.label_studio_config(['a"<b>'])
