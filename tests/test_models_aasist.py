import pytest
import torch

from sslig.models.aasist import AASIST, GraphPool

N_LAYERS, FEATURE_SIZE = 3, 16
POOLS = ["pool_S", "pool_T", "pool_hS1", "pool_hT1", "pool_hS2", "pool_hT2"]


@pytest.fixture(scope="module")
def head():
    """A small head, its last weights large enough that inputs give clearly different logits."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        made = AASIST(N_LAYERS, FEATURE_SIZE, n_bins=24).eval()
        made.out_layer.weight.mul_(20)
        return made


def features_of(n_frames=30, batch=2, seed=0):
    return torch.randn(batch, N_LAYERS, n_frames, FEATURE_SIZE, generator=torch.Generator().manual_seed(seed))


def test_the_published_number_of_bins_is_the_default():
    assert AASIST.config_of(AASIST(13, 32).state_dict()) == {"feature_size": 32, "n_bins": 128}


def test_only_the_last_layer_is_read(head):
    features = features_of()
    others, last = features.clone(), features.clone()
    others[:, :-1] = 100
    last[:, -1] = -last[:, -1]
    with torch.no_grad():
        torch.testing.assert_close(head(others), head(features), atol=0, rtol=0)
        assert (head(last) - head(features)).abs().min() > 1e-3


def test_each_pool_keeps_half_of_its_nodes(head):
    """24 bins are 8 spectral rows and 30 frames 10 temporal nodes; they are halved twice, and never to none."""
    selection = head.select(features_of())
    assert list(selection) == ["pool_S", "pool_T", "pool_hS1", "pool_hT1", "pool_hS2", "pool_hT2"]
    sizes = {name: tuple(kept.shape) for name, kept in selection.items()}
    assert sizes == {name: (2, {"pool_S": 4, "pool_T": 5}.get(name, 2)) for name in POOLS}
    assert {kept.shape[1] for name, kept in head.select(features_of(3)).items() if "T" in name} == {1}


def test_a_pool_keeps_the_nodes_with_the_highest_scores():
    pool = GraphPool(size=1).eval()
    with torch.no_grad():
        pool.proj.weight.fill_(1.0)
        pool.proj.bias.zero_()
    nodes = torch.tensor([0.0, 3.0, -1.0, 2.0]).reshape(1, 4, 1)
    values, kept = pool(nodes)
    assert kept.tolist() == [[1, 3]]
    expected = nodes[:, [1, 3]] * torch.sigmoid(nodes[:, [1, 3]])
    torch.testing.assert_close(values, expected)


def test_the_selection_of_an_input_gives_its_free_logit(head):
    features = features_of()
    with torch.no_grad():
        torch.testing.assert_close(head(features, head.select(features)), head(features), atol=0, rtol=0)


def test_the_selection_of_another_input_gives_another_logit(head):
    features, selection = features_of(), head.select(features_of(seed=1))
    with torch.no_grad():
        assert (head(features, selection) - head(features)).abs().max() > 1e-3


def test_a_selection_is_replayed_on_tiled_examples(head):
    """Points of a path lie as blocks of all examples: row i of the batch is example i % 2."""
    features = features_of()
    selection = head.select(features)
    points = torch.cat([features * share for share in (0.2, 0.6, 1.0)])
    one_by_one = [
        head(point.unsqueeze(0), {name: kept[row % 2 : row % 2 + 1] for name, kept in selection.items()})
        for row, point in enumerate(points)
    ]
    torch.testing.assert_close(head(points, selection), torch.cat(one_by_one), atol=1e-5, rtol=0)


def test_a_selection_that_does_not_divide_the_batch_is_refused(head):
    selection = head.select(features_of(batch=2))
    with pytest.raises(ValueError, match="a selection for 2 examples cannot be replayed on 3 rows"):
        head(features_of(batch=3), selection)


def test_the_replayed_logit_is_continuous_where_the_free_one_jumps(head):
    """On a fine path between two inputs, the largest step of the free logit stands out; replayed, none does."""
    start, end = features_of(batch=1, seed=0), features_of(batch=1, seed=1)
    path = torch.cat([start + share * (end - start) for share in torch.linspace(0, 1, 201)])
    with torch.no_grad():
        free, replayed = head(path).diff().abs(), head(path, head.select(end)).diff().abs()
    assert replayed.max() < 5 * replayed.median() + 0.01
    assert free.max() > 10 * replayed.max()
