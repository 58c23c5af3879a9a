import matplotlib.pyplot as plt

from sslig.plots import style


def test_style_leaves_no_trace():
    before = plt.rcParams["axes.spines.top"]
    with style.style():
        assert not plt.rcParams["axes.spines.top"]
        plt.rcParams["interactive"] = True  # what a kernel's backend does with its first figure
    assert plt.rcParams["axes.spines.top"] == before
    assert plt.rcParams["interactive"]
    plt.rcParams["interactive"] = False
