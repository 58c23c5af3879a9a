import matplotlib.pyplot as plt

from sslig.plots import style


def test_a_detector_looks_the_same_in_any_company():
    alone = style.detector_styles(["CA-MHFA"])["CA-MHFA"]
    among = style.detector_styles(["aasist", "camhfa", "sls", "lcnn", "rawnet"])
    assert among["camhfa"] == alone
    assert len({look["color"] for look in among.values()}) == 5


def test_style_leaves_no_trace():
    before = plt.rcParams["axes.spines.top"]
    with style.style():
        assert not plt.rcParams["axes.spines.top"]
        plt.rcParams["interactive"] = True  # what a kernel's backend does with its first figure
    assert plt.rcParams["axes.spines.top"] == before
    assert plt.rcParams["interactive"]
    plt.rcParams["interactive"] = False
