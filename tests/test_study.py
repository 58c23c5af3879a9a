import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sslig.study import PAPER, Stratum, StudyError, Training, derive, load

REPOSITORY = Path(__file__).resolve().parents[1]

MINIMAL = """
name: small
corpus: {source: synthetic, root: corpora/synthetic}
backbone: microsoft/wavlm-base-plus
detectors: {camhfa: {head: camhfa, context: 5}}
seeds: [0, 1]
"""


EMPTY = {"seeds": list, "detectors": dict, "selection": list}


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


def with_value(**values):
    return yaml.safe_dump(yaml.safe_load(MINIMAL) | values)


def test_values_that_are_not_given_have_defaults(write):
    study = load(write())
    assert (study.name, study.seeds, study.device) == ("small", [0, 1], "auto")
    assert study.training == Training()
    assert study.scoring.crop_s is None


def test_paths_follow_from_the_file(write, tmp_path):
    study = load(write())
    assert (study.path, study.root) == (tmp_path / "experiments" / "small.yaml", tmp_path)
    assert study.corpus_root == tmp_path / "corpora" / "synthetic"
    assert study.run("camhfa", 1) == tmp_path / "runs" / "small" / "camhfa" / "seed1"
    assert load(write(text=with_value(corpus={"source": "asvspoof5", "root": "/data"}))).corpus_root == Path("/data")


def test_paths_start_at_the_file_where_no_folder_is_marked(tmp_path):
    (tmp_path / "mine.yaml").write_text(MINIMAL)
    assert load(tmp_path / "mine.yaml").root == tmp_path


def test_a_backbone_that_is_a_folder_starts_at_the_root(write, tmp_path):
    path = write(text=with_value(backbone="encoders/mine"))
    assert load(path).backbone_source() == "encoders/mine"
    (tmp_path / "encoders" / "mine").mkdir(parents=True)
    assert load(path).backbone_source() == str(tmp_path / "encoders" / "mine")


def test_a_file_is_looked_up_from_a_folder_below(write, tmp_path, monkeypatch):
    path = write()
    (tmp_path / "notebooks" / "drafts").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "drafts")
    assert load("experiments/small.yaml").path == path
    with pytest.raises(StudyError, match=r"experiments/none\.yaml: no such experiment file in .*drafts or a"):
        load("experiments/none.yaml")


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("1.0e-3", 0.001), ("4", 4.0), ("0.5", 0.5)])
def test_a_number_may_be_written_as_people_do(write, text, value):
    """YAML itself reads 1e-3 as text."""
    rate = load(write(f"training: {{lr_head: {text}}}")).training.lr_head
    assert rate == value
    assert isinstance(rate, float)


def test_the_study_of_a_planted_cue_has_a_corpus_and_a_recipe_of_its_kind(write, tmp_path):
    study = load(write("training: {epochs: 3, lr_head: 1e-3}\nvalidation: {training: {epochs: 5}}"))
    planted = study.planted("splice")
    assert planted.corpus_root == tmp_path / "corpora" / "small-planted" / "splice"
    assert planted.run("camhfa", 0) == tmp_path / "runs" / "small" / "planted" / "splice" / "camhfa" / "seed0"
    assert (planted.training.epochs, planted.training.lr_head) == (5, 1e-3)
    assert study.training.epochs == 3
    with pytest.raises(StudyError, match=r"unknown key validation\.training\.epoch; known: epochs"):
        load(write("validation: {training: {epoch: 5}}")).planted("splice")


def test_the_detector_with_the_shared_encoder_has_epochs_of_its_own(write):
    study = load(write("training: {epochs: 3, encoder: camhfa, encoder_epochs: 7}"))
    assert [study.training.epochs_of(name) for name in ("camhfa", "another")] == [7, 3]
    assert study.planted("splice").training.epochs_of("camhfa") == 3
    assert load(write("training: {epochs: 3, encoder: camhfa}")).training.epochs_of("camhfa") == 3
    with pytest.raises(StudyError, match=r"training\.encoder is 'sls'; accepted: camhfa"):
        load(write("training: {encoder: sls}"))


def test_values_without_effect_do_not_decide_a_training_or_a_corpus(write):
    study = load(write("training: {workers: 3, log_steps: 2}"))
    assert not {"workers", "log_steps", "encoder", "encoder_epochs"} & set(study.training.decisive())
    assert "attacks" not in study.corpus.decisive()
    assert load(write("training: {encoder: camhfa}")).training.decisive()["encoder"] == "camhfa"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("moods: 3", r"unknown key moods; known: name, corpus, .*, device$"),
        ("training: {epoch: 3}", "unknown key training.epoch; known: epochs, steps_per_epoch"),
        ("scoring: 16", "scoring is 16; .*dictionary"),
        ("training: {epochs: 0}", "training.epochs is 0; .*greater than or equal to 1"),
        ("training: {epochs: yes}", "training.epochs is True; .*valid integer"),
        ("training: {epochs: '2'}", "training.epochs is '2'; .*valid integer"),
        ("training: {schedule: cosine}", "training.schedule is 'cosine'; .*'constant', 'exponential' or 'one_cycle'"),
        ("annotation: {repeats: 2.0}", "annotation.repeats is 2.0; .*less than or equal to 0.5"),
        ("validation: {planted: []}", r"validation.planted is \[\]; .*at least 1 item"),
        ("device: cpu\ndevice: cuda", "(?s)key 'device' stands twice.*line 8"),
        ("training: {epochs: 1, epochs: 2}", "key 'epochs' stands twice"),
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
        (with_value(corpus={"source": "synthetic"}), "key corpus.root is missing"),
        *((with_value(**{key: type_()}), rf"{key} is .*at least 1 item") for key, type_ in EMPTY.items()),
        (with_value(name="../../evil"), r"name is '\.\./\.\./evil'; .*match pattern"),
        (with_value(detectors={"a`b": {"head": "sls"}}), "detectors.a`b.*match pattern"),
        ("name: [small", "no valid YAML"),
        ("", "a mapping of keys to values is needed"),
    ],
)
def test_a_wrong_file_is_named(write, text, message):
    path = write(text=text)
    with pytest.raises(StudyError, match=message) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")


STRATUM = {"name": "b", "key": "spoof"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("two spoofs", "selection.1 is 'two spoofs'; Input should be a valid dictionary"),
        (STRATUM | {"n": 3, "size": 3}, r"unknown key selection\.1\.size; known: name, key, group, n"),
        ({"key": "spoof", "n": 3}, "key selection.1.name is missing"),
        (STRATUM, "n is None and per_attack is None; exactly one"),
        (STRATUM | {"n": 3, "per_attack": 1}, "n is 3 and per_attack is 1; exactly one"),
        (STRATUM | {"key": "bonafide", "per_attack": 2}, "bona fide utterances have no attack"),
        (STRATUM | {"name": "a", "n": 3}, "several strata 'a'"),
    ],
)
def test_what_is_wrong_in_a_stratum_is_named(write, row, message):
    with pytest.raises(StudyError, match=message):
        load(write(text=with_value(selection=[{"name": "a", "key": "spoof", "n": 1}, row])))


def test_the_selection_is_that_of_the_paper_or_rows_of_the_file(write):
    assert load(write()).selection == PAPER
    rows = [STRATUM | {"group": "middle wrong", "per_attack": 2, "order": "worst"}]
    assert load(write(text=with_value(selection=rows))).selection == [Stratum(**rows[0])]


def test_a_value_that_is_to_be_filled_in_is_named(write):
    path = write(text=with_value(corpus={"source": "asvspoof5", "root": "FILL IN the folder"}, device="FILL IN"))
    with pytest.raises(StudyError, match=r"small\.yaml: still to be filled in: corpus\.root, device"):
        load(path)


@pytest.mark.parametrize("name", ["published", "strong"])
def test_the_studies_on_asvspoof5_wait_for_their_folder_only(name, tmp_path):
    path = REPOSITORY / "experiments" / f"{name}.yaml"
    with pytest.raises(StudyError, match=rf"{name}\.yaml: still to be filled in: corpus\.root$"):
        load(path)
    (tmp_path / path.name).write_text(path.read_text().replace("FILL IN", "/data #"))
    study = load(tmp_path / path.name)
    recipe = study.training
    assert list(study.detectors) == ["aasist", "camhfa", "sls"]
    published = (recipe.lr_backbone, recipe.lr_head, recipe.batch_size, recipe.epochs) == (1e-6, 1e-3, 4, 10)
    assert published == (name == "published")


@pytest.mark.parametrize("name", ["demo", "smoke", "validation"])
def test_the_studies_that_come_along_are_sound(name):
    assert load(REPOSITORY / "experiments" / f"{name}.yaml").name == name


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
    assert (derived.root, derived.training, derived.detectors) == (base.root, base.training, base.detectors)


def test_two_folders_of_the_same_name_stay_apart(write, tmp_path):
    path, folders = write(), [tmp_path / place / "my voices" for place in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
    first, second = (load(derive(path, str(folder))) for folder in folders)
    assert first.name.startswith("small-my-voices-")
    assert first.corpus_root != second.corpus_root
    assert first.corpus.source == str(folders[0])


def test_a_missing_folder_of_recordings_is_named(write):
    with pytest.raises(
        StudyError, match="CORPUS=nowhere: no such folder; accepted: voices, prompts, synthetic, a folder"
    ):
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
    ("options", "printed"),
    [
        ([], "experiments/small.yaml"),
        (["--corpus", "synthetic"], "experiments/small.yaml"),
        (["--corpus", "prompts"], "runs/small-prompts/experiment.yaml"),
        (["--runs"], "runs/small"),
    ],
)
def test_the_command_line_prints_the_file_to_use(write, tmp_path, options, printed):
    process = run(str(write()), *options)
    assert process.stdout == f"{tmp_path / printed}\n"


def test_the_command_line_fails_in_one_line():
    process = run("none.yaml")
    assert process.returncode == 1
    assert process.stderr.startswith("error: none.yaml: no such experiment file")
    assert "Traceback" not in process.stderr


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "sslig.study", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def test_a_study_of_checkpoints_needs_no_backbone_and_no_seed(tmp_path):
    (tmp_path / "mine").mkdir()
    text = (
        "name: s\ncorpus: {source: asvspoof5, root: c}\ndetectors: {mine: {checkpoint: mine}, hub: {checkpoint: a/b}}\n"
    )
    (tmp_path / "s.yaml").write_text(text)
    study = load(tmp_path / "s.yaml")
    assert study.adopted == ["mine", "hub"]
    assert study.seeds == [0]
    assert study.checkpoint("mine") == {"checkpoint": str(tmp_path / "mine")}
    assert study.checkpoint("hub") == {"checkpoint": "a/b"}
    (tmp_path / "s.yaml").write_text(text.replace("hub: {checkpoint: a/b}", "sls: {head: sls}"))
    with pytest.raises(StudyError, match="backbone is missing, and sls is trained from it"):
        load(tmp_path / "s.yaml")
