"""A page in the book: the answer and a figure first, captions and texts for figures, titles of tables, folded parts."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from sslig.pipeline.layout import laid_out, plain


def shown(**data):
    return new_output("display_data", data={kind.replace("__", "/"): value for kind, value in data.items()})


FIGURE = {"image__png": "AAAA"}
ANSWER = new_markdown_cell("**Answer.** 3 %.", metadata={"tags": ["answer"]})


def page(*cells, **about):
    """Cells of a page after layout: title and answer stand around those given."""
    first = [new_markdown_cell("# Errors\n\n**Question.** How many?"), new_code_cell("a = 1"), ANSWER]
    return laid_out({"cells": [*first, *cells]}, about)["cells"]


def sources(cells):
    return [cell["source"] for cell in cells]


def test_the_answer_and_the_first_figure_with_its_caption_come_first():
    cells = page(
        new_markdown_cell("## Rates"),
        new_code_cell("draw()", outputs=[shown(**FIGURE)]),
        new_markdown_cell("Lower is *better*."),
        new_code_cell("b = 2"),
    )
    title, answer, figure, *rest = cells
    assert title["source"].startswith("# Errors")
    assert answer["source"] == ANSWER["source"]
    assert figure["outputs"] == [shown(**FIGURE)]
    assert figure["metadata"]["mystnb"]["figure"]["caption"] == "Lower is *better*."
    assert figure["metadata"]["mystnb"]["image"]["alt"] == "Errors. Lower is better."
    assert sources(rest) == ["a = 1", "## Rates", "draw()", "b = 2"]  # code runs in its order
    assert rest[2]["outputs"] == []


@pytest.mark.parametrize(("tags", "hero"), [([], "iVBO"), (["hero"], "second")])
def test_a_tag_chooses_the_figure(tags, hero):
    cells = page(
        new_code_cell("1", outputs=[shown(image__png="iVBO")]),
        new_code_cell("2", outputs=[shown(image__png="second")], metadata={"tags": tags}),
    )
    assert cells[2]["outputs"][0]["data"]["image/png"] == hero


def test_what_can_be_seen_and_played_is_preferred_to_a_figure_and_a_figure_to_players():
    outputs = {
        "players": shown(text__html='<table class="sslig-players"></table>'),
        "figure": shown(**FIGURE),
        "recording": shown(text__html='<div class="sslig-recording"><iframe></iframe></div>'),
    }
    for names in (["players", "figure", "recording"], ["players", "figure"]):
        cells = page(*[new_code_cell(name, outputs=[outputs[name]]) for name in names])
        assert cells[2]["outputs"] == [outputs[names[-1]]]


def test_several_figures_of_a_cell_have_texts_of_their_own_headings():
    outputs = [shown(**FIGURE), shown(text__markdown="### Spoofs"), shown(**FIGURE)]
    cells = page(new_markdown_cell("## Maps"), new_code_cell("draw()", outputs=outputs))
    texts = [cell["metadata"]["mystnb"]["image"]["alt"] for cell in cells if "mystnb" in cell["metadata"]]
    assert texts == ["Errors", "Spoofs"]


def test_prose_with_a_heading_or_a_list_is_no_caption():
    for prose in ("## Next", "- a\n- b", "```text\nx\n```"):
        cells = page(new_code_cell("draw()", outputs=[shown(**FIGURE)]), new_markdown_cell(prose))
        assert prose in sources(cells)
        assert "figure" not in cells[2]["metadata"]["mystnb"]


def test_tables_are_titled_by_their_headings_and_frames_stay_as_they_are():
    html = '<table id="T"><tr></tr></table>'
    frame = '<div class="sslig-recording"><iframe srcdoc="<table>"></iframe></div>'
    cells = page(
        new_markdown_cell("## Costs & `EER`"),
        new_code_cell("show()", outputs=[shown(text__html=html), shown(text__html=html)]),
        new_code_cell("play()", outputs=[shown(text__html=frame)]),
    )
    tables = [output["data"]["text/html"] for cell in cells for output in cell.get("outputs", [])]
    assert tables == [
        frame,
        '<table id="T"><caption>Costs &amp; EER</caption><tr></tr></table>',
        '<table id="T"><caption>Costs &amp; EER (2)</caption><tr></tr></table>',
    ]


def test_what_to_know_before_and_to_take_away_follows_the_figure():
    cells = page(new_code_cell("draw()", outputs=[shown(**FIGURE)]), before="[A](a.ipynb).", after="You know.")
    assert (
        cells[3]["source"] == "::::{div} sslig-frame\n*Before this page:* [A](a.ipynb).\n\n*After it:* You know.\n::::"
    )


def test_code_has_no_fold_to_itself_and_an_appendix_has_a_mark():
    cells = page(
        new_code_cell("a", metadata={"tags": ["hide-input", "hide-output"]}),
        new_markdown_cell("(there)=\n## `More` of it\n\nText."),
        new_markdown_cell("## Details", metadata={"tags": ["appendix"]}),
        appendix=["More of it", "Nowhere"],
    )
    assert cells[-2]["source"] == '(there)=\n## `More` of it\n\n<div class="sslig-appendix"></div>\n\nText.'
    del cells[-2]
    assert cells[-2]["metadata"]["tags"] == ["hide-output"]
    assert cells[-1]["source"] == '## Details\n\n<div class="sslig-appendix"></div>'


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("the {term}`EER <equal error rate>` of *dev* {cite}`a2020`", "the EER of dev"),
        ("{glue:text}`best_eer:.1f` % at [masks](05_mask)", "best_eer % at masks"),
        ("`code` and **bold**\nin lines", "code and bold in lines"),
    ],
)
def test_words_of_markdown(markdown, words):
    assert plain(markdown) == words
