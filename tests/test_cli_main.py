import subprocess
import sys

import pytest

from sslig.cli import main as cli
from sslig.cli.arguments import COMMANDS
from sslig.cli.main import DONE, PARTLY, REFUSED, main, parser


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_the_parser_accepts(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"example:\n  sslig {command}" in text
    assert "exit status: 0 done" in text
    words = COMMANDS[command].example.split()
    assert parser().parse_args(words[1:]).command == command


def test_the_parser_loads_nothing_heavy():
    code = "import sys, sslig.cli.main as m; m.parser(); print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_faulty_words_and_inputs_give_status_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["score"])
    assert stopped.value.code == REFUSED
    assert main(["check", str(tmp_path / "nothing")]) == REFUSED
    assert "error: no detector" in capsys.readouterr().err
    assert (DONE, PARTLY) == (0, 1)


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.importlib, "import_module", interrupted)
    assert main(["detectors"]) == REFUSED
    assert capsys.readouterr().err == "stopped\n"


def test_the_module_runs_as_the_command():
    command = [sys.executable, "-m", "sslig", "detectors", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "sslig detectors runs" in result.stdout
