import json

import pandas as pd
import pytest

from sslig.corpora import protocol
from sslig.cues import voice
from sslig.cues.segments import SOURCES, Spoken
from sslig.errors import InputError
from sslig.pipeline.segment import segment


@pytest.fixture
def run(tmp_path, write_experiment, corpus):
    """Decodes the segments of one step of a study."""
    masking = {"utterances": 4, "nonspeech_utterances": 2, "workers": 1, "segments": ["vad", "voicing"]}
    study = write_experiment(tmp_path, masking=masking, validation={"profile_utterances": 2})

    def make(which: str) -> tuple[pd.DataFrame, dict]:
        outputs = {name: tmp_path / f"{name}_{which}" for name in ("segments", "left_out", "sources")}
        segment(study, corpus=corpus, which=which, **outputs)
        assert list(pd.read_parquet(outputs["left_out"]).columns) == ["utterance", "reason"]
        return pd.read_parquet(outputs["segments"]), json.loads(outputs["sources"].read_text())

    return make


@pytest.mark.parametrize(
    ("which", "n_utterances", "tiers"),
    [("eval", 4, {"speech", "voicing"}), ("train", 2, {"speech"}), ("profile", 2, {"speech"})],
)
def test_each_step_has_its_utterances_and_sources(run, corpus, which, n_utterances, tiers):
    table, sources = run(which)
    assert table["utterance"].nunique() == n_utterances
    assert set(table["tier"]) == {source["tier"] for source in sources} == tiers
    assert sources[0]["tool"] == "silero-vad"
    assert sources[0]["utterances"] == n_utterances
    key = protocol.load_set(corpus, "train" if which == "train" else "eval").set_index("utterance")["key"]
    assert set(key[table["utterance"]]) == ({"bonafide"} if which == "train" else {"bonafide", "spoof"})


def test_an_unknown_step_is_refused(run):
    with pytest.raises(InputError, match="which=dev; accepted: eval, train, profile"):
        run("dev")


def test_transcripts_reach_the_alignment(run, corpus, monkeypatch):
    recordings = protocol.load_set(corpus, "eval")[["utterance"]].assign(transcript="no bona fide", language="it")
    recordings.to_csv(corpus / protocol.RECORDINGS, sep="\t", index=False)
    seen = []
    monkeypatch.setitem(SOURCES, "voicing", lambda samples, spoken: seen.append(spoken) or voice.voicing(samples))
    run("eval")
    assert set(seen) == {Spoken("no bona fide", "it")}
