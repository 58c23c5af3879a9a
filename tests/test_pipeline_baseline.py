import pandas as pd
import pytest
import torch

from sslig.attribution import baselines
from sslig.attribution.context import BASELINES, load
from sslig.corpora import protocol
from sslig.pipeline.baseline import baseline

DURATION_S = 0.375


@pytest.fixture
def made(experiment, corpus, tiny_detector, tmp_path):
    """The files of the rule, for a study whose non-speech mean is of two utterances; one of them has speech only."""
    study = experiment.model_copy(update={"masking": experiment.masking.model_copy(update={"nonspeech_utterances": 4})})
    tiny_detector().save_pretrained(tmp_path / "detector")
    train = protocol.load_set(corpus, "train")
    first, second = train.loc[train["key"] == "bonafide", "utterance"].sort_values()[:2]
    spans = [(first, 0.0, 0.2, "leading"), (first, 0.2, DURATION_S, "speech"), (second, 0.0, DURATION_S, "speech")]
    rows = [("speech", *span[1:], DURATION_S, span[0]) for span in spans]
    columns = ["tier", "start_s", "end_s", "label", "duration_s", "utterance"]
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "segments_train.parquet")
    files = {name: tmp_path / f"{name}.safetensors" for name in ("baseline", "nonspeech")}
    segments = tmp_path / "segments_train.parquet"
    baseline(study, seed=0, detector=tmp_path / "detector", corpus=corpus, segments=segments, **files)
    return study, files


def test_the_means_are_of_bona_fide_training_utterances(made):
    files = made[1]
    mean, nonspeech = (baselines.load(path) for path in files.values())
    assert (mean.name, nonspeech.name) == ("bonafide_mean", "nonspeech_mean")
    assert (mean.source["utterances"], mean.source["frames"]) == (4, 18 + 24 + 24 + 29)
    assert (nonspeech.source["utterances"], nonspeech.source["frames"]) == (1, 10)  # centres before 0.2 s
    assert (mean.source["set"], mean.source["key"], mean.source["seed"]) == ("train", "bonafide", 0)


def test_a_context_holds_every_baseline_and_draws_of_both_classes(made, corpus, tiny_detector):
    study, files = made
    context = load(study, 0, tiny_detector(), corpus, files["baseline"], files["nonspeech"])
    features = torch.randn(1, 3, 20, 16)
    starts = {name: context.start(name, features, "features") for name in BASELINES}
    assert {start.shape for start in starts.values()} == {features.shape}
    assert not starts["zero"].any()
    torch.testing.assert_close(starts["bonafide_mean"][0, :, 0], baselines.load(files["baseline"]).values)
    torch.testing.assert_close(starts["nonspeech"][0, :, 0], baselines.load(files["nonspeech"]).values)
    lengths = [(draw.label, draw.inputs["features"].shape[1]) for draw in context.draws]
    assert lengths == [(label, n_frames) for label in (0, 1) for n_frames in (18, 24, 24, 29)]  # no more are in the set
    convolutions = torch.randn(1, 1, 20, 8)
    for name in BASELINES:
        assert context.start(name, convolutions, "recording").shape == convolutions.shape
    assert (context.options, context.threshold) == (study.attribution, None)
