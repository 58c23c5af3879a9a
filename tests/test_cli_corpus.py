import json

import pytest

from sslig.cli.main import DONE, PARTLY, REFUSED, main


def test_a_corpus_is_checked(corpus, capsys):
    assert main(["corpus", "check", str(corpus), "--utterances", "0", "--json"]) == DONE
    printed = json.loads(capsys.readouterr().out)
    assert [row["utterances"] for row in printed["counts"]] == [4] * 6  # two classes in each of three sets
    assert printed["missing"] == printed["shared"] == []
    assert main(["corpus", "check", str(corpus), "--utterances", "0"]) == DONE
    assert "missing files: none" in capsys.readouterr().out


@pytest.fixture
def faulty(tmp_path):
    rows = ["path,key,split"] + [f"{number}.flac,{'spoof' if number % 2 else 'bonafide'},eval" for number in range(30)]
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "all.csv"


def test_missing_files_give_status_1_and_no_corpus_gives_2(faulty, tmp_path, capsys):
    assert main(["corpus", "check", str(faulty), "--utterances", "0"]) == PARTLY
    assert "... and 20 more (--json)" in capsys.readouterr().out
    assert main(["corpus", "check", str(tmp_path)]) == REFUSED
    assert "no known layout" in capsys.readouterr().err
