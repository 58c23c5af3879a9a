import pytest

from sslig.cli.main import DONE, REFUSED, main
from sslig.widgets import serve


@pytest.fixture
def served(monkeypatch):
    """The words that the server gets, in place of a server."""
    words = []
    monkeypatch.setattr(serve, "main", words.extend)
    return words


def test_the_explorer_opens_a_file(served):
    assert main(["explore", "call.wav", "--study", "mine.yaml", "--port", "9000", "--token"]) == DONE
    assert served[:5] == ["mine.yaml", "--page", "explore", "--utterance", "call.wav"]
    assert {"--port=9000", "--token", "--address=127.0.0.1"} <= set(served)


def test_options_of_the_server_are_passed_on(served):
    assert main(["annotate", "mine.yaml", "--base-url", "/listen/", "--trusted"]) == DONE
    assert served[:3] == ["mine.yaml", "--page", "annotate"]
    assert {"--base-url=/listen/", "--trusted"} <= set(served)
    assert "--token" not in served


def test_a_refusal_of_the_server_is_one_message(tmp_path, capsys):
    assert main(["explore", "--study", str(tmp_path / "none.yaml")]) == REFUSED
    assert "none.yaml: no such experiment file" in capsys.readouterr().err
