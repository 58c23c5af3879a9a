import torch

from sslig.training import averaging


def write(path, value, count):
    torch.save({"state_dict": {"weight": torch.tensor([value]), "num_batches": torch.tensor(count)}}, path)
    return path


def test_the_mean_of_weights_keeps_the_last_counter(tmp_path):
    paths = [write(tmp_path / f"{number}.ckpt", value, number) for number, value in enumerate([1.0, 2.0, 6.0])]
    mean = averaging.mean(paths)
    assert (mean["weight"].tolist(), mean["num_batches"].item()) == ([3.0], 2)


def test_the_foremost_checkpoints_are_those_on_disk_with_the_best_figures(tmp_path):
    keeper = averaging.keeper(tmp_path, "dev_min_dcf", "min", 2)
    figures = {3: 0.2, 0: 0.5, 7: 0.1, 2: 0.05}
    paths = {epoch: tmp_path / f"epoch={epoch}-step={10 * epoch}.ckpt" for epoch in figures}
    keeper.best_k_models = {str(paths[epoch]): torch.tensor(figure) for epoch, figure in figures.items()}
    for epoch in (3, 0, 7):
        paths[epoch].touch()
    assert averaging.foremost(keeper, 2) == [(3, paths[3]), (7, paths[7])]
    assert averaging.foremost(keeper, 1) == [(7, paths[7])]
