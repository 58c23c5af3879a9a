"""Tables on pages: numbers, missing values and intervals as text, and no markup from data."""

import numpy as np
import pandas as pd
import pytest

from sslig.plots.display import shown, with_interval


def test_text_in_a_table_is_never_markup():
    html = shown(pd.DataFrame({"<i>": ["<script>"]})).to_html()
    assert "&lt;script&gt;" in html
    assert "&lt;i&gt;" in html
    assert "<script>" not in html


def test_thousands_are_separated_and_missing_values_blank():
    html = shown(pd.DataFrame({"n": [12_345], "share": [0.25], "none": [np.nan]}), decimals=2).to_html()
    assert "12,345" in html
    assert "0.25" in html
    assert "nan" not in html


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        ((0.1234, 0.1, 0.145), {"factor": 100, "decimals": 1}, "12.3 [10.0, 14.5]"),
        ((0.5, np.nan, np.nan), {}, "0.50"),
        ((np.nan, np.nan, np.nan), {}, ""),
        ((-0.001, -1.0, 2.0), {"signed": True}, "+0.00 [-1.00, +2.00]"),
    ],
)
def test_a_figure_stands_with_its_interval(values, options, text):
    table = pd.DataFrame([values], columns=["value", "low", "high"], index=[7])
    assert with_interval(table, **options).to_dict() == {7: text}


def test_each_row_may_have_a_factor_of_its_own():
    table = pd.DataFrame({"value": [0.5, 0.5], "low": np.nan, "high": np.nan})
    assert with_interval(table, factor=pd.Series([100, 1]), decimals=1).tolist() == ["50.0", "0.5"]
