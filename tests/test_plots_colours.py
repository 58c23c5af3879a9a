from sslig.plots.colours import detector_styles


def test_a_detector_looks_the_same_in_any_company():
    alone = detector_styles(["CA-MHFA"])["CA-MHFA"]
    among = detector_styles(["aasist", "camhfa", "sls", "lcnn", "rawnet"])
    assert among["camhfa"] == alone
    assert len({look["color"] for look in among.values()}) == 5
