import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sslig.study.__main__ import main

from sslig.data import augment
from sslig.study import StudyError, Training, derive, load

REPOSITORY = Path(__file__).resolve().parents[1]

MINIMAL = """
name: small
corpus: {source: synthetic, root: corpora/synthetic}
backbone: microsoft/wavlm-base-plus
detectors: {camhfa: {head: camhfa, context: 5}}
seeds: [0, 1]
"""


@pytest.fixture
def write(tmp_path):
    """Writes an experiment file into a folder marked as the root of a repository; `more` follows the minimal lines."""
    (tmp_path / "Snakefile").touch()
    (tmp_path / "experiments").mkdir()

    def to_file(more="", text=MINIMAL):
        path = tmp_path / "experiments" / "small.yaml"
        path.write_text(text + more, encoding="utf-8")
        return path

    return to_file


def without(key):
    values = yaml.safe_load(MINIMAL)
    del values[key]
    return yaml.safe_dump(values)


def with_value(**values):
    return yaml.safe_dump(yaml.safe_load(MINIMAL) | values)


def test_what_is_not_said_has_its_default(write):
    study = load(write())
    assert (study.name, study.seeds, study.device) == ("small", [0, 1], "auto")
    assert study.training == Training()
    assert study.scoring.crop_s is None
    assert study.attribution.baseline == "bonafide_mean"


def test_paths_follow_from_the_file(write, tmp_path):
    study = load(write())
    assert study.path == tmp_path / "experiments" / "small.yaml"
    assert study.root == tmp_path
    assert study.corpus_root == tmp_path / "corpora" / "synthetic"
    assert study.runs == tmp_path / "runs" / "small"
    assert study.run("camhfa", 1) == tmp_path / "runs" / "small" / "camhfa" / "seed1"


def test_without_a_marked_folder_paths_start_at_the_file(tmp_path):
    (tmp_path / "own.yaml").write_text(MINIMAL)
    assert load(tmp_path / "own.yaml").root == tmp_path


def test_a_corpus_may_lie_anywhere(write):
    assert load(write(text=with_value(corpus={"source": "asvspoof5", "root": "/data"}))).corpus_root == Path("/data")


def test_a_backbone_that_is_a_folder_is_found_from_the_root(write, tmp_path):
    path = write(text=with_value(backbone="encoders/own"))
    assert load(path).backbone_source() == "encoders/own"
    (tmp_path / "encoders" / "own").mkdir(parents=True)
    assert load(path).backbone_source() == str(tmp_path / "encoders" / "own")


def test_a_file_is_found_from_a_folder_below(write, tmp_path, monkeypatch):
    path = write()
    (tmp_path / "notebooks" / "drafts").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "drafts")
    assert load("experiments/small.yaml").path == path
    with pytest.raises(StudyError, match=r"experiments/none\.yaml: no such experiment file in .*drafts or a"):
        load("experiments/none.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("1.0e-3", 0.001), ("4", 4.0), ("0.5", 0.5), ("'2.5'", 2.5)]
)
def test_a_number_may_be_written_as_people_do(write, text, value):
    """YAML itself reads 1e-3 as text."""
    study = load(write(f"training: {{lr_head: {text}}}"))
    assert study.training.lr_head == value
    assert isinstance(study.training.lr_head, float)


def test_none_is_a_value_where_it_is_allowed(write):
    study = load(write("scoring: {crop_s: null}\ntraining: {steps_per_epoch: null}"))
    assert (study.scoring.crop_s, study.training.steps_per_epoch) == (None, None)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("moods: 3", r"unknown key moods; known: name, corpus, .*, device$"),
        ("root: /data", "unknown key root"),
        ("path: /data", "unknown key path"),
        ("start: demo", "unknown key start"),
        ("training: {epoch: 3}", "unknown key training.epoch; known: epochs, steps_per_epoch"),
        ("scoring: 16", "scoring is 16; a mapping of keys to values is needed"),
        ("training: {epochs: 2.5}", "training.epochs is 2.5; accepted: int"),
        ("training: {epochs: yes}", "training.epochs is True; accepted: int"),
        ("training: {epochs: '2'}", "training.epochs is '2'; accepted: int"),
        ("training: {lr_head: small}", "training.lr_head is 'small'; accepted: float"),
        ("training: {lr_head: true}", "training.lr_head is True; accepted: float"),
        ("training: {freeze_backbone: 1}", "training.freeze_backbone is 1; accepted: bool"),
        ("training: {steps_per_epoch: many}", "training.steps_per_epoch is 'many'; accepted: int or none"),
        ("scoring: {crop_s: whole}", "scoring.crop_s is 'whole'; accepted: float or none"),
        ("device: 0", "device is 0; accepted: str"),
    ],
)
def test_a_wrong_key_or_value_is_named(write, more, message):
    path = write(more)
    with pytest.raises(StudyError, match=message) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (without("backbone"), "key backbone is missing"),
        (with_value(corpus={"source": "synthetic"}), "key corpus.root is missing"),
        (with_value(corpus="synthetic"), "corpus is 'synthetic'; a mapping"),
        (with_value(backbone=3), "backbone is 3; accepted: str or dict"),
        (with_value(seeds=0), "seeds is 0; accepted: list"),
        (with_value(seeds=["one"]), r"seeds\[0\] is 'one'; accepted: int"),
        (with_value(detectors=["camhfa"]), r"detectors is \['camhfa'\]; accepted: dict"),
        (with_value(detectors={"camhfa": "camhfa"}), "detectors.camhfa is 'camhfa'; accepted: dict"),
        (with_value(corpus={"source": "prompts", "root": "c", "recordings": {"dev": "few"}}),
         "corpus.recordings.dev is 'few'; accepted: int or none"),
        (with_value(seeds=[]), "at least one detector and one seed are needed"),
        (with_value(detectors={}), "at least one detector and one seed are needed"),
        ("name: [small", "no valid YAML"),
        ("- name\n- corpus", "a mapping of keys to values is needed"),
        ("", "a mapping of keys to values is needed"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named(write, text, message):
    path = write(text=text)
    with pytest.raises(StudyError, match=message) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")


def test_what_is_to_be_filled_in_is_named(write):
    path = write(text=with_value(corpus={"source": "asvspoof5", "root": "FILL IN the folder"}, device="FILL IN"))
    with pytest.raises(StudyError, match=r"small\.yaml: still to be filled in: corpus\.root, device"):
        load(path)


@pytest.fixture(params=["published", "strong"])
def filled(request, tmp_path):
    """The study on ASVspoof 5 by one of the two recipes, with the folder of its corpus filled in."""
    path = REPOSITORY / "experiments" / f"{request.param}.yaml"
    with pytest.raises(StudyError, match=rf"{path.stem}\.yaml: still to be filled in: corpus\.root$"):
        load(path)
    values = yaml.safe_load(path.read_text())
    values["corpus"]["root"] = str(tmp_path)
    (tmp_path / path.name).write_text(yaml.safe_dump(values))
    return load(tmp_path / path.name)


def test_the_studies_on_asvspoof5_wait_for_their_folder_and_nothing_else(filled):
    assert filled.name == filled.path.stem
    assert list(filled.detectors) == ["aasist", "camhfa", "sls"]
    assert len(filled.seeds) > 1
    assert augment.build(filled.training.augmentation).parts


def test_the_recipes_are_what_they_are_called(filled):
    """AdamW at 1e-6 and 1e-3, batches of 4; and large batches, two epochs of warm-up, decay from 1e-4 to 1e-6."""
    recipe = filled.training
    if filled.name == "published":
        assert (recipe.lr_backbone, recipe.lr_head, recipe.batch_size, recipe.epochs) == (1e-6, 1e-3, 4, 10)
        return
    assert (recipe.lr_backbone, recipe.lr_head, recipe.batch_size, recipe.warmup_epochs) == (1e-5, 1e-4, 32, 2)
    assert (recipe.schedule, recipe.lr_head * recipe.lr_end) == ("exponential", pytest.approx(1e-6))
    assert recipe.average > 1


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("experiments/*.yaml")), ids=lambda path: path.stem)
def test_the_experiments_that_come_along_are_sound(path):
    if "FILL IN" not in path.read_text():
        assert load(path).name == path.stem


def test_an_unknown_detector_or_seed_is_refused(write):
    study = load(write())
    with pytest.raises(StudyError, match=r"small\.yaml: unknown detector 'sls'; it has camhfa"):
        study.run("sls", 0)
    with pytest.raises(StudyError, match=r"small\.yaml: seed 2 is not among its seeds \[0, 1\]"):
        study.run("camhfa", 2)


def test_a_study_is_derived_for_another_corpus(write, tmp_path):
    path = write("training: {lr_head: 1e-4}")
    target = derive(path, "synthetic")
    assert target == tmp_path / "runs" / "small-synthetic" / "experiment.yaml"
    base, derived = load(path), load(target)
    assert (derived.name, derived.corpus.source) == ("small-synthetic", "synthetic")
    assert derived.corpus_root == tmp_path / "corpora" / "small-synthetic"
    assert derived.root == base.root
    assert (derived.training, derived.detectors, derived.seeds) == (base.training, base.detectors, base.seeds)


def test_two_folders_of_one_name_stay_apart(write, tmp_path):
    path, folders = write(), [tmp_path / place / "my voices" for place in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
    one, other = (load(derive(path, str(folder))) for folder in folders)
    assert one.name.startswith("small-my-voices-")
    assert one.corpus_root != other.corpus_root
    assert one.corpus.source == str(folders[0])


def test_a_folder_that_is_not_there_is_named(write):
    with pytest.raises(StudyError, match="CORPUS=nowhere: no such folder; accepted: prompts, synthetic, a folder"):
        derive(write(), "nowhere")


def test_an_unchanged_derived_file_is_not_written_again(write):
    path = write()
    target = derive(path, "prompts")
    os.utime(target, (0, 0))
    assert derive(path, "prompts").stat().st_mtime == 0
    write("device: cpu")
    assert derive(path, "prompts").stat().st_mtime > 0
    assert load(target).device == "cpu"


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ([], "experiments/small.yaml"),
        (["--corpus", "synthetic"], "experiments/small.yaml"),
        (["--corpus", "prompts"], "runs/small-prompts/experiment.yaml"),
    ],
)
def test_the_command_line_prints_the_file_to_use(write, tmp_path, capsys, monkeypatch, arguments, printed):
    monkeypatch.setattr(sys, "argv", ["experiment", str(write()), *arguments])
    main()
    assert capsys.readouterr().out == f"{tmp_path / printed}\n"


def test_the_command_line_fails_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sslig.study", "none.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: none.yaml: no such experiment file")
    assert "Traceback" not in done.stderr
