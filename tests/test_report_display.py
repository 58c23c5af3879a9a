"""Tables and words as pages show them."""

import pandas as pd

from sslig.report.display import listed, shown, span


def test_text_in_a_table_is_never_markup():
    page = shown(pd.DataFrame({"<i>file": ["<script>alert(1)</script> & a.flac"], "EER (%)": [12.345]})).to_html()
    assert "<script>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; a.flac" in page
    assert "12.3<" in page


def test_thousands_are_set_apart_and_nothing_stands_for_what_is_missing():
    page = shown(pd.DataFrame({"n": [680_774, 3], "value": [None, 0.5]})).to_html()
    assert "680,774" in page
    assert "nan" not in page.lower()


def test_words_are_listed_and_spans_collapse():
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
    assert (span(3.2, 3.4), span(3.2, 7.0)) == ("3 %", "3 to 7 %")
