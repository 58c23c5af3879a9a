import json

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForAudioClassification, Wav2Vec2FeatureExtractor

from sslig.errors import DetectorError
from sslig.models import deepfense, factory, fairseq, huggingface, named
from sslig.models.named import OWN, RELEASE, describe, identify, load


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def places(tmp_path, tiny_detector, tiny_backbone):
    """Kind -> what names a detector of this kind."""
    tiny_detector("sls").save_pretrained(tmp_path / "own")
    source = tiny_detector("camhfa")
    parts = {"wavlm": source.backbone.model, "camhfa": source.head}
    state = {f"{prefix}.{key}": value for prefix, part in parts.items() for key, value in part.state_dict().items()}
    torch.save(state, tmp_path / "camhfa.pt")
    torch.save({"module.ssl_model.model.mask_emb": torch.zeros(1), "LL.weight": torch.zeros(1)}, tmp_path / "best.pth")
    config = AutoConfig.for_model(**tiny_backbone, id2label={0: "fake", 1: "real"}, label2id={"fake": 0, "real": 1})
    AutoModelForAudioClassification.from_config(config).save_pretrained(tmp_path / "classifier")
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path / "classifier")
    (tmp_path / "zoo").mkdir()
    for file in ("best_model.pth", "config.yaml"):
        (tmp_path / "zoo" / file).touch()
    (tmp_path / "other").mkdir()
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    return {
        OWN: tmp_path / "own",
        RELEASE: tmp_path / "camhfa.pt",
        fairseq.KIND: tmp_path / "best.pth",
        huggingface.KIND: tmp_path / "classifier",
        deepfense.KIND: tmp_path / "zoo",
        factory.KIND: "package.module:name",
    }


def test_a_name_says_its_kind(places, tmp_path):
    assert {kind: identify(str(place))[0] for kind, place in places.items()} == {kind: kind for kind in places}
    for name in ("nowhere", "./nowhere/model", "C:/nowhere", str(tmp_path / "other"), str(tmp_path / "other.pt")):
        with pytest.raises(DetectorError, match=r"accepted: a folder or a Hub repository with config.json"):
            identify(name)


def test_a_run_stands_for_its_detector(places, tmp_path):
    (tmp_path / "seed0").mkdir()
    places[OWN].rename(tmp_path / "seed0/detector")
    assert identify(str(tmp_path / "seed0")) == (OWN, str(tmp_path / "seed0/detector"))


def test_folders_files_and_values_load(places, tiny_backbone, waveforms, tiny_detector, tmp_path):
    torch.testing.assert_close(load(places[OWN])(waveforms), tiny_detector("sls")(waveforms))
    values = {"checkpoint": str(places[RELEASE]), "backbone": tiny_backbone}
    torch.testing.assert_close(load(values)(waveforms), tiny_detector("camhfa")(waveforms))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    detector = load(tmp_path / "mine.yaml")
    torch.testing.assert_close(detector(waveforms), tiny_detector("camhfa")(waveforms))
    assert describe(detector) | {"kind": RELEASE, "head": "CAMHFA", "layers": 3, "min_frames": 1} == describe(detector)
    facts = describe(load(places[huggingface.KIND]))
    assert facts["outputs"] == ["spoof", "bonafide"]
    assert json.dumps(facts)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"checkpoint": "a", "module": "b:c"}, "needs checkpoint or module, and not both"),
        ({"direction": "higher_is_spoof"}, "needs checkpoint or module, and not both"),
        ({"checkpoint": "a", "heads": 3}, "no value 'heads'; accepted: checkpoint, module, labels"),
    ],
)
def test_other_values_are_refused(values, message):
    with pytest.raises(DetectorError, match=message):
        load(values)


def test_a_value_that_a_kind_does_not_take_is_refused(places):
    with pytest.raises(DetectorError, match="takes no 'direction'; accepted: labels"):
        load({"checkpoint": str(places[huggingface.KIND]), "direction": "higher_is_spoof"})
    with pytest.raises(DetectorError, match="takes no 'labels'; accepted: nothing"):
        load({"checkpoint": str(places[OWN]), "labels": {"LABEL_0": "spoof"}})


def test_repositories_are_looked_up_on_the_hub(places, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda name: ["config.json", "model.safetensors"])
    folder = places[OWN]
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, file: folder / file)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(folder))
    assert identify("someone/detector") == (OWN, str(folder))
    assert load("someone/detector").origin.folder == str(folder)
    folder = places[huggingface.KIND]
    assert identify("someone/detector") == (huggingface.KIND, "someone/detector")
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda name: ["best_model.pth", "config.yaml"])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: "downloaded")
    assert identify("DeepFense/model") == (deepfense.KIND, "downloaded")
    assert set(named.KINDS) >= {OWN, RELEASE, huggingface.KIND, deepfense.KIND}
