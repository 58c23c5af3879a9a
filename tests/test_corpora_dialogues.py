import numpy as np
import pytest
import soundfile

from sslig.corpora import build, dialogues, prompts
from sslig.corpora.protocol import SETS
from sslig.errors import CorpusError


def write(path, seconds, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 22_050))
    soundfile.write(path, noise, 22_050, format="OGG", subtype="VORBIS")


@pytest.fixture
def tree(tmp_path):
    """Both packages, each with a line of each fish, a short one, one of another role, and a repeated one."""
    for number, language in enumerate(dialogues.LANGUAGES):
        level = tmp_path / "usr/share/games/fillets-ng/sound/cave" / language
        for letter, seed in (("m", 1), ("v", 2)):
            write(level / f"cav-{letter}-long.ogg", 2, (number, seed))
            write(level / f"cav-{letter}-short.ogg", 1, (number, seed + 2))
        write(level / "cav-x-crab.ogg", 2, (number, 5))
        (level / "cav-m-unspoken.ogg").write_bytes(b"OggS")
        again = level.parents[1] / "share/jokes" / language / "jok-m-long.ogg"
        again.parent.mkdir(parents=True)
        again.write_bytes((level / "cav-m-long.ogg").read_bytes())
    return tmp_path


def test_lines_of_the_two_fish_of_the_right_length_are_taken_and_only_once(tree):
    spoken = dialogues.recordings(tree)
    assert [line.id for line in spoken] == [f"{name}/cave/cav-{role}-long" for name in ("cs", "nl") for role in "mv"]
    assert [line.gender for line in spoken] == ["F", "M", "F", "M"]
    assert len(spoken[0].sound()) == 2 * 16_000
    assert spoken[0].source == "fillets-ng-data-cs: cave/cs/cav-m-long.ogg"
    assert {line.licence for line in spoken} == {"GPL-2"}


def test_each_language_has_speakers_of_its_own_in_one_set(tree):
    speakers = {line.speaker for line in dialogues.recordings(tree)}
    assert speakers == set(dialogues.SETS)
    assert len(speakers) == 4
    assert set(dialogues.SETS.values()) <= set(SETS)
    assert not speakers & set(prompts.SETS)


def test_a_missing_package_is_named(tree):
    for path in tree.rglob("nl/*"):
        path.unlink()
    with pytest.raises(CorpusError, match="small fish in Dutch; fillets-ng-data-nl is missing"):
        dialogues.recordings(tree)


def test_voices_are_prompts_and_dialogues(tmp_path, monkeypatch):
    for part, line in ((prompts, "prompt"), (dialogues, "line")):
        monkeypatch.setattr(part, "fetch", lambda cache: cache)
        monkeypatch.setattr(part, "recordings", lambda tree, line=line: [(line, tree)])
    lines, sets = build.source("voices", tmp_path, seed=0)
    assert lines == [("prompt", tmp_path / "sources"), ("line", tmp_path / "sources")]
    assert sets == {**prompts.SETS, **dialogues.SETS}
    assert sorted(sets.values()).count("eval") == 4
