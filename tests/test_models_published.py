import pytest
import torch

from sslig.errors import DetectorError
from sslig.models.detector import HEADS
from sslig.models.published import import_published

OLD_NAMES = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}


@pytest.fixture
def waveforms():
    return 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))


def released(detector):
    """The state dict of a detector under the names of the release."""
    parts = {"wavlm": detector.backbone.model, detector.head_name: detector.head}
    return {f"{prefix}.{key}": value for prefix, part in parts.items() for key, value in part.state_dict().items()}


def with_old_names(state):
    """Weight norm as transformers named it before torch moved it."""
    for new, old in OLD_NAMES.items():
        state = {key.replace(new, old): value for key, value in state.items()}
    assert sum(key.endswith((".weight_g", ".weight_v")) for key in state) == 2
    return state


@pytest.fixture
def save(tmp_path):
    def write(content):
        torch.save(content, tmp_path / "published.pt")
        return tmp_path / "published.pt"

    return write


@pytest.mark.parametrize("head", HEADS)
def test_a_published_checkpoint_gives_the_same_logits(tiny_detector, tiny_backbone, waveforms, save, head):
    values = {"n_frames": 30} if head == "sls" else {}  # its frames are read from the weights, as a multiple of 3
    source = tiny_detector(head, seed=3, **values)
    imported = import_published(save(released(source)), head, tiny_backbone)
    assert not imported.training
    assert torch.equal(imported(waveforms), source(waveforms))


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda state: {"model": state, "epoch": 3}, id="model"),
        pytest.param(lambda state: {"state_dict": state}, id="state_dict"),
        pytest.param(lambda state: {f"module.{key}": value for key, value in state.items()}, id="module."),
        pytest.param(with_old_names, id="weight_g and weight_v"),
    ],
)
def test_the_wrappings_of_the_release_are_taken_off(tiny_detector, tiny_backbone, waveforms, save, wrap):
    source = tiny_detector("camhfa", seed=3)
    imported = import_published(save(wrap(released(source))), "camhfa", tiny_backbone)
    assert torch.equal(imported(waveforms), source(waveforms))


class Burglar:
    """Pickled code: unpickling it would create the file it names."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_code_is_refused_and_does_not_run(tiny_detector, tiny_backbone, save, tmp_path):
    trace = tmp_path / "trace"
    path = save({"model": released(tiny_detector()), "options": Burglar(trace)})
    with pytest.raises(DetectorError, match=r"published\.pt: refused, because loading it would run pickled code"):
        import_published(path, "camhfa", tiny_backbone)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the code is really in there
    assert trace.exists()


def lacking_a_weight(state):
    return {key: value for key, value in state.items() if key != "camhfa.weights_k"}


@pytest.mark.parametrize(
    ("change", "head", "message"),
    [
        (dict, "sls", r"unknown weight 'camhfa\.\w+.*'; accepted prefixes: 'wavlm\.', 'sls\.'"),
        (lambda state: state | {"ssl.weight": torch.zeros(1)}, "camhfa", "unknown weight 'ssl.weight'"),
        (lacking_a_weight, "camhfa", "no head 'camhfa': a weight is missing .*weights_k"),
        (lambda state: {"camhfa.pooling_fc.bias": torch.zeros(1)}, "camhfa", "no head 'camhfa'"),
        (lambda state: state | {"camhfa.att_head.weight": torch.zeros(3)}, "camhfa", "no head 'camhfa'"),
        (lambda state: state | {"camhfa.weights_k": torch.zeros(5)}, "camhfa", "another n_layers than .* 3"),
        (lambda state: state | {"camhfa.weights_v": torch.zeros(5)}, "camhfa", "weights of the head do not fit"),
        (lambda state: state | {"wavlm.spare": torch.zeros(5)}, "camhfa", "weights of the backbone do not fit.*spare"),
        (lambda state: {1: torch.zeros(1)}, "camhfa", "no state dict"),
        (lambda state: torch.zeros(3), "camhfa", "no state dict"),
    ],
)
def test_another_state_dict_is_refused(tiny_detector, tiny_backbone, save, change, head, message):
    path = save(change(released(tiny_detector("camhfa"))))
    with pytest.raises(DetectorError, match=f"(?s){message}") as error:
        import_published(path, head, tiny_backbone)
    assert str(path) in str(error.value)


def test_another_feature_size_is_refused(tiny_detector, tiny_backbone, save):
    path = save(released(tiny_detector("camhfa")))
    with pytest.raises(DetectorError, match=r"published\.pt: .* another feature_size than the backbone's 32"):
        import_published(path, "camhfa", tiny_backbone | {"hidden_size": 32})


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tiny_detector, tiny_backbone, save, share):
    path = save(released(tiny_detector()))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DetectorError, match=r"published\.pt: not a checkpoint that torch can read"):
        import_published(path, "camhfa", tiny_backbone)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("lcnn", "unknown head 'lcnn'; known: aasist, camhfa, sls"),
        ("camhfa", r"none\.pt: .*No such file"),
    ],
)
def test_an_unknown_head_and_a_missing_file_are_refused(tmp_path, tiny_backbone, head, message):
    with pytest.raises(DetectorError, match=message):
        import_published(tmp_path / "none.pt", head, tiny_backbone)
