import numpy as np
import pytest
import torch

from sslig import audio
from sslig.attribution import table
from sslig.attribution.baselines import zero
from sslig.attribution.integrated_gradients import AttributionError, explain
from sslig.corpora import protocol
from sslig.study import Attribution as Options
from sslig.study import Scoring

OPTIONS = Options(max_steps=32)


@pytest.fixture
def utterances(corpus):
    """Four of *eval*, from the last to the first."""
    return protocol.load_set(corpus, "eval").iloc[[6, 3, 1, 0]].reset_index(drop=True)


@pytest.fixture
def detector(tiny_detector):
    return tiny_detector()


@pytest.fixture
def attributed(detector, utterances):
    return table.attribute(detector, utterances, zero(3, 16), OPTIONS, Scoring())


def test_each_utterance_has_one_row_with_its_certificate(attributed):
    rows, left_out = attributed
    assert left_out.empty
    assert list(rows.columns) == [*table.DESCRIPTION, *table.CERTIFICATE, "by_frame", "by_layer", "baseline"]
    assert rows["utterance"].tolist() == ["E_0000", "E_0001", "E_0003", "E_0006"]
    assert rows["key"].tolist() == ["bonafide", "spoof", "spoof", "bonafide"]
    assert rows["attack"].tolist() == ["-", "A03", "A03", "-"]
    assert set(rows["baseline"]) == {"zero"}


def test_a_row_is_the_explanation_of_that_utterance_alone(detector, attributed, utterances):
    paths = utterances.set_index("utterance")["path"]
    for row in attributed[0].itertuples():
        samples = audio.read(paths[row.utterance])
        used = detector.clock.n_samples(detector.clock.n_frames(len(samples)))
        with torch.no_grad():
            features = detector.features(torch.from_numpy(samples[:used]).unsqueeze(0))
        alone = explain(detector.head, features, zero(3, 16), OPTIONS)
        np.testing.assert_allclose(row.by_layer, alone.by_layer, atol=1e-6)
        assert (row.spoof_score, row.status, row.steps) == (alone.spoof_score, alone.status, alone.steps)


def test_the_curve_is_the_sum_over_layers(attributed):
    for row in attributed[0].itertuples():
        np.testing.assert_allclose(row.by_frame, row.by_layer.sum(axis=0))
        assert row.by_frame.sum() == pytest.approx(row.spoof_score - row.baseline_score + row.residual)


def test_a_table_comes_back_as_it_was_written(attributed, tmp_path):
    rows, _ = attributed
    table.write(tmp_path / "attributions.parquet", rows)
    again = table.read(tmp_path / "attributions.parquet")
    assert list(again.columns) == list(rows.columns)
    plain = [column for column in rows if column not in ("by_frame", "by_layer")]
    assert again[plain].equals(rows[plain])
    lengths = {"E_0000": 18, "E_0001": 18, "E_0003": 24, "E_0006": 29}
    for written, read in zip(rows.itertuples(), again.itertuples(), strict=True):
        assert read.by_layer.shape == (3, lengths[read.utterance])
        assert np.array_equal(read.by_layer, written.by_layer)
        assert np.array_equal(read.by_frame, written.by_frame)


def test_a_broken_file_is_left_out_with_its_reason(detector, utterances, tmp_path):
    (tmp_path / "broken.flac").write_bytes(b"")
    broken = utterances.copy()
    broken.loc[1, "path"] = str(tmp_path / "broken.flac")
    rows, left_out = table.attribute(detector, broken, zero(3, 16), OPTIONS, Scoring())
    assert rows["utterance"].tolist() == ["E_0000", "E_0001", "E_0006"]
    assert left_out["utterance"].tolist() == ["E_0003"]
    assert "the file is empty" in left_out["reason"][0]
    with pytest.raises(AttributionError, match="none of 1 utterances could be read"):
        table.attribute(detector, broken.iloc[[1]].reset_index(drop=True), zero(3, 16), OPTIONS, Scoring())


def test_the_detector_is_explained_in_evaluation_mode(tiny_detector, utterances, attributed):
    """Dropout would give another logit; the detector is left in the mode it came in."""
    detector = tiny_detector().train()
    rows, _ = table.attribute(detector, utterances, zero(3, 16), OPTIONS, Scoring())
    assert detector.training
    assert rows["spoof_score"].tolist() == attributed[0]["spoof_score"].tolist()
