import json
import re

import numpy as np
import pandas as pd
import pytest

from sslig import audio
from sslig.cli.main import DONE, PARTLY, main
from sslig.cli.starts import STARTS
from sslig.cues.tiers import read_textgrid


@pytest.fixture(scope="module")
def explained(tmp_path_factory, corpus):
    """The folder that a command wrote about two recordings and a faulty file, and its exit status."""
    import torch
    from conftest import TINY_BACKBONE, TINY_HEADS

    from sslig.models.detector import Detector

    folder = tmp_path_factory.mktemp("explain")
    for head in ("camhfa", "sls"):
        torch.manual_seed(0)
        Detector(dict(TINY_BACKBONE), head, TINY_HEADS[head]).save_pretrained(folder / head)
    (folder / "broken.wav").write_bytes(b"no sound")
    names = [str(corpus / f"flac_E_eval/E_{number:04d}.flac") for number in (0, 1)]
    words = ["explain", *names, str(folder / "broken.wav"), "--out", str(folder / "out"), "--reference", str(corpus)]
    words += ["-d", str(folder / "camhfa"), "-d", str(folder / "sls"), "--frequency", "24"]
    return folder / "out", main(words)


def test_each_recording_has_its_files_and_faulty_ones_are_listed(explained):
    folder, status = explained
    assert status == PARTLY
    endings = {".png", ".html", ".csv", ".json", ".TextGrid"}
    assert {path.name.removeprefix("E_0000") for path in folder.glob("E_0000.*")} >= endings
    index = (folder / "index.html").read_text()
    assert "broken.wav" in index
    for link in re.findall(r'(?:href|src)="([^"]+)"', index):
        assert (folder / link).is_file()


def test_maps_regions_and_certificates_agree(explained):
    folder, _ = explained
    record = json.loads((folder / "E_0001.json").read_text())
    frames = pd.read_csv(folder / "E_0001.csv")
    certificates = pd.read_csv(folder / "explanations.csv").set_index(["recording", "detector"])
    tiers = {tier.name: tier for tier in read_textgrid(folder / "E_0001.TextGrid")}
    regions = pd.DataFrame(record["segments"])
    assert [row["detector"] for row in record["certificates"]] == ["camhfa", "sls"]
    for name, by_frame in record["maps"].items():
        assert frames[name].tolist() == pytest.approx(by_frame, abs=1e-5)
        row = certificates.loc["E_0001", name]
        total = row["spoof_score"] - row["baseline_score"] + row["residual"]
        assert sum(by_frame) == pytest.approx(total, abs=1e-3)
        assert row["method"] == "expected_gradients(smooth_ms=100)"
        assert len(tiers[f"{name} top regions"].labels) == (regions["detector"] == name).sum()
        assert row["decision"] == ("spoof" if row["spoof_score"] > 0 else "bonafide")


def test_the_evidence_in_time_and_frequency_is_seen_and_heard(explained, corpus):
    folder, _ = explained
    whole = audio.read(corpus / "flac_E_eval/E_0001.flac")
    for name, scores in json.loads((folder / "E_0001.frequency.json").read_text()).items():
        only, without = (audio.read(folder / f"E_0001.{name}.{part}.flac") for part in ("only", "without"))
        np.testing.assert_allclose(only + without, whole[: len(only)], atol=2e-4)  # 16 bits, twice
        assert {"spoof_score", "only_score", "without_score"} <= set(scores)
    assert "E_0001.frequency.png" in (folder / "index.html").read_text()


def test_pages_load_nothing(explained):
    page = (explained[0] / "E_0000.html").read_text()
    assert 'src="http' not in page
    assert "import(" not in page
    assert "camhfa" in page


def test_starts_are_stored_beside_a_detector(tmp_path, corpus, tiny_detector, capsys):
    from sslig.cli import starts

    detector = tiny_detector("sls")
    drawn = starts.draws(detector, None, corpus, "cpu")
    assert sorted(draw.label for draw in drawn) == [0] * 4 + [1] * 4  # all of the tiny corpus
    starts.write(tmp_path / STARTS, drawn)
    read = starts.draws(detector, tmp_path, None, "cpu")
    assert [draw.label for draw in read] == [draw.label for draw in drawn]
    assert all((a.inputs["recording"] == b.inputs["recording"]).all() for a, b in zip(drawn, read, strict=True))


def test_without_known_recordings_a_blurred_one_is_the_start(tmp_path, tiny_detector, corpus, capsys):
    tiny_detector("sls").save_pretrained(tmp_path / "sls")
    audio_file = corpus / "flac_E_eval/E_0000.flac"
    words = ["explain", str(audio_file), "-d", str(tmp_path / "sls"), "--out", str(tmp_path / "out"), "--json"]
    assert main([*words, "--segments"]) == DONE
    printed = json.loads(capsys.readouterr().out)
    assert printed["explanations"][0]["method"] == "ig(baseline=blurred, smooth_ms=100)"
    assert audio.read(audio_file).size
