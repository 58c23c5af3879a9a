"""The page on annotations: material from store or file, tables and sentences, for nobody, one and several people."""

import numpy as np
import pandas as pd
import pytest

from sslig.annotation import study as studies
from sslig.annotation.keeping import keep
from sslig.annotation.store import Store
from sslig.annotation.table import conformed, row_of
from sslig.report import annotation, annotation_tables, annotation_text
from sslig.report.display import shown

MARKUP = "Eve <script>x</script> *b* | $y$"


@pytest.fixture
def explained(monkeypatch):
    """Top regions in place of those of trained detectors: of sls, within vowels."""

    def regions(study, detectors, seed, *, classes):
        names = [f"E_{number:04d}" for number in range(8)]
        return pd.DataFrame({
            "utterance": names, "detector": "sls", "start_s": 0.1, "end_s": 0.2,
            "segment_class": ["vowel", "pause"] * 4,
        })  # fmt: skip

    monkeypatch.setattr(annotation, "annotated_regions", regions)


def said(annotator, cues, **changed):
    """A judgement of sls in an utterance for each cue."""
    values = {"annotator": annotator, "detector": "sls", "start_s": 0.1, "end_s": 0.2, "locality": 3, "audible": True}
    return [row_of(values | {"utterance": f"E_{at:04d}", "cue": cue} | changed) for at, cue in enumerate(cues)]


def material(study, *rows):
    with Store(studies.store_path(study)) as store:
        keep(store, conformed([one for part in rows for one in part]))
    return annotation.material(study, None, 0)


TABLES = (
    annotation_tables.annotator_table, annotation_tables.cue_figure, annotation_tables.cue_table,
    annotation_tables.judgement_table, annotation_tables.said_table,
)  # fmt: skip


def sentences(study, found):
    """All that the page says."""
    pairs, repeats = annotation_tables.pairs(found), annotation_tables.repeats(found)
    return [
        annotation_text.answer(found), annotation_text.source_note(study, found), annotation_text.cue_note(found),
        annotation_text.class_note(annotation_tables.cue_by_class(found)), annotation_text.overlap_note(found),
        annotation_text.between_note(found, pairs), annotation_text.repeat_note(repeats),
        annotation_text.decoy_note(found), annotation_text.guess_note(found, annotation_tables.guessed(found)),
        annotation_text.export_note(study),
    ]  # fmt: skip


def test_nobody_has_annotated(experiment):
    found = annotation.material(experiment, None, 0)
    assert annotation.judged(found).empty
    told = sentences(experiment, found)
    assert told[0].startswith("**Answer.** Nobody has annotated this study yet")
    assert "`python -m sslig.widgets.serve experiment.yaml`" in told[1]
    assert all(text.startswith("This needs") for text in told[3:9])
    assert not any("nan" in text.lower() for text in told)
    assert not studies.store_path(experiment).exists()  # a page writes nothing


def test_one_annotator(experiment, explained):
    found = material(experiment, said("Ann", ["noise", "noise", "glitch", None]))
    assert annotation.names(found) == ["Ann"]
    assert found.table["key"].tolist() == ["bonafide", "spoof", "bonafide", "spoof"]
    assert found.duration_s["E_0000"] == 6_000 / 16_000
    told = sentences(experiment, found)
    assert told[0] == ("**Answer.** In 3 regions of 3 utterances, one annotator heard most often channel / codec / "
                       "noise floor for SLS (67 %). How far people agree cannot be told from one "
                       "annotator.")  # fmt: skip
    assert "There is one, and no interval" in told[5]
    assert "% on bona fide and" in told[3]
    assert "The guess is what was heard in 0 %" in told[8]
    for table in TABLES:
        assert len(table(found)) > 0
    assert annotation_tables.cue_table(found)["SLS"].tolist() == [1, 0, 0, 0, 0, 2, 0, 0]
    assert annotation_tables.annotator_table(found).to_dict("records") == [
        {"annotator": "Ann", "utterances": 3, "done": "0 of 4", "regions": 3, "decoys": 0, "repeats": 0, "blind": "no"}
    ]
    assert annotation_tables.heard_by_class(annotation_tables.guessed(found)).loc["vowel", "glitch"] == 1


def test_two_annotators_decoys_and_repeats(experiment, explained):
    cues = ["noise", "glitch", "noise", "breath", "noise", "glitch"]
    other = ["noise", "glitch", "noise", "noise", "noise", "glitch"]
    found = material(
        experiment, said("Ann", cues), said(MARKUP, other), said("Ann", cues[:3], repeat=True),
        said("Ann", ["unclear"] * 6, decoy=True, audible=False), said("Ann", cues, detector="aasist"),
    )  # fmt: skip
    told = sentences(experiment, found)
    assert "2 annotators heard most often" in told[0]
    assert "agree beyond chance: Krippendorff's alpha is 0." in told[0]
    assert "0 of 1 pairs meet" in told[4] or "1 of 1 pairs meet" in told[4]
    assert told[5].startswith("The two annotators have a kappa of 0.")
    assert "an F1 of 1.00 for segments" in told[5]
    assert "100 % of 3 (Ann)" in told[6]
    assert "a cue was named in 0 % of cases, in real regions in 100 %" in told[7]
    pairs = annotation_tables.pairs(found)
    counts, first, second = annotation_tables.confusion(found, pairs)
    assert (first, second, counts.loc["breath", "noise"]) == ("Ann", " ".join(MARKUP.split()), 1)
    assert annotation_tables.agreement_table(pairs)["annotators"].tolist() == [
        "Ann and Eve <script>x</script> *b* | $y$"
    ]
    assert (
        annotation_tables.agreement_table(annotation_tables.repeats(found))["same cue"].tolist()[0].startswith("1.00")
    )
    assert annotation_tables.all_table(found)["measure"].tolist()[:2] == [
        "Krippendorff's alpha (nominal)",
        "Fleiss' kappa",
    ]
    assert annotation_tables.decoy_table(found)["real regions"].iloc[0] == "100 (n = 12)"
    assert list(annotation_tables.cue_table(found))[1::2] == ["AASIST", "SLS"]  # the project's order


def test_regions_that_nobody_moved_are_told(experiment, explained):
    proposed = {"proposed_start_s": 0.1, "proposed_end_s": 0.2}
    found = material(
        experiment, said("Ann", ["noise", "noise"], **proposed), said("Bob", ["noise", "glitch"], **proposed),
        said("Bob", ["noise"], detector="aasist", proposed_start_s=0.1, proposed_end_s=0.3),
    )  # fmt: skip
    assert "moved 20 % of them" in annotation_text.between_note(found, annotation_tables.pairs(found))


def test_what_was_typed_is_no_markup(experiment, explained):
    found = material(experiment, said(MARKUP, ["noise"], comment="<img src=x onerror=alert(1)> **b**"))
    table = annotation_tables.said_table(found)
    assert table["comment"].tolist() == ["<img src=x onerror=alert(1)> **b**"]
    for one in (table, annotation_tables.annotator_table(found)):
        page = shown(one).to_html()
        assert "<script" not in page
        assert "<img" not in page
    assert annotation_text.verbatim("<b> *x* [l](u) `c` $y$ {z}") == (
        r"&lt;b&gt; \*x\* \[l\]\(u\) \`c\` \$y\$ \{z\}"
    )  # fmt: skip


def test_a_file_of_other_utterances_is_shown_with_its_faults(experiment, tmp_path):
    path = tmp_path / "others.csv"
    path.write_text("annotator,utterance,detector,cue,start_s,end_s\nAnn,X_1,sls,noise,0,1\nAnn,X_2,sls,hum,0,1\n")
    found = annotation.material(experiment, None, 0, path)
    told = sentences(experiment, found)
    assert "None of its 1 utterances is in *eval*" in told[1]
    assert "1 rows could not be read and are left out; the first is row 3 of others.csv" in told[1]
    assert "cue is 'hum'" in told[1]
    assert found.regions.empty
    assert np.isnan(annotation_tables.cue_figure(found)["low"]).all()
    path.write_text("annotator,utterance,detector\n")
    assert "The file holds no judged region" in annotation_text.answer(annotation.material(experiment, None, 0, path))


def test_the_published_annotations_are_shown(experiment, reference):
    found = annotation.material(experiment, None, 0, reference / "published_annotations.csv")
    assert "In 298 regions of 100 utterances, one annotator" in annotation_text.answer(found)
    assert annotation.names(found) == ["published_annotations"]
    assert "3 of 3 pairs meet more than chance" in annotation_text.overlap_note(found)
    only = annotation.material(experiment, ["sls"], 0, reference / "published_annotations.csv")
    assert set(only.table["detector"]) == {"sls"}
