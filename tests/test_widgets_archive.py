import numpy as np
import pytest

from sslig import audio
from sslig.widgets.archive import Archive
from sslig.widgets.catalogue import CatalogueError


@pytest.fixture(scope="module")
def archive(explained_study):
    return Archive(explained_study)


def test_what_the_study_has_made_is_read_and_not_made_again(archive, monkeypatch):
    monkeypatch.setattr(archive.bench, "explain", lambda *arguments: pytest.fail("explained again"))
    opened = archive.open("E_0000")
    for name in archive.bench.names:
        row = archive.bench.attributions(name).loc["E_0000"]
        np.testing.assert_array_equal(opened.attributions[name].by_layer, row["by_layer"])
    assert set(opened.tiers) == {"speech", "voicing", "phones"}
    assert list(opened.recording().tiers) == ["speech", "phones"]  # voicing decides places only


def test_the_waveform_is_the_file_trimmed_to_whole_frames(archive):
    opened = archive.open("E_0000")
    samples = audio.read(archive.catalogue.path("E_0000"))
    used = archive.bench.clock.n_samples(archive.bench.clock.n_frames(len(samples)))
    np.testing.assert_array_equal(opened.waveform, samples[:used])


def test_what_is_missing_is_computed_and_adds_up(archive):
    told = []
    opened = archive.open("E_0003", lambda what, share: told.append(what))
    assert told == ["explaining with aasist", "explaining with camhfa", "explaining with sls"]
    for name, one in opened.attributions.items():
        assert one.by_layer.sum() - one.difference == pytest.approx(one.residual, abs=1e-6)
        assert one.spoof_score == pytest.approx(archive.catalogue.row("E_0003")[name], abs=1e-4)


def test_only_utterances_of_the_study_are_opened(archive):
    with pytest.raises(CatalogueError, match=r"no utterance '\.\./E_0000' among 8 of eval"):
        archive.open("../E_0000")
