"""Help: quick, without torch, complete; and its examples work as they are written."""

import argparse
import os
import re
import shlex
import subprocess
import sys
import time

import pytest

from tokenmask.cli import HOMES
from tokenmask.cli.parser import make_parser

HEAVY = ("torch", "numpy", "jsonargparse", "yaml", "PIL", "pyarrow", "rich", "safetensors")


def parsers(parser: argparse.ArgumentParser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


def examples(parser: argparse.ArgumentParser) -> list[str]:
    return re.findall(r"^  (tokenmask .+)$", (parser.epilog or "").replace("\\\n", ""), re.M)


ALL = list(parsers(make_parser()))
EXAMPLES = [example for parser in ALL for example in examples(parser)]


def test_every_command_has_a_home():
    commands = next(a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == set(HOMES)
    assert set(HOMES) == {
        *("fit", "encode", "decode", "corpus", "train", "generate", "edit", "swap"),
        *(
            "evaluate",
            "tune",
            "study",
            "inspect",
            "report",
            "show",
            "play",
            "serve",
            "push",
            "pull",
            "info",
            "recipes",
            "demo",
        ),
    }


@pytest.mark.parametrize("parser", ALL, ids=[parser.prog for parser in ALL])
def test_every_flag_is_explained(parser):
    text = " ".join(parser.format_help().split())
    has_commands = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
    assert parser.description and (has_commands or examples(parser))
    assert all(example.startswith(parser.prog) for example in examples(parser))
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert all(choice.help for choice in action._choices_actions)
            continue
        assert action.help, f"{parser.prog}: {action.dest} has no help"
        assert all(flag in text for flag in action.option_strings or [action.metavar or action.dest])
        assert action.help.split()[0] in text
        if action.option_strings and action.default not in (None, False, [], argparse.SUPPRESS):
            assert f"(default: {action.default})" in action.help, f"{parser.prog}: {action.dest} hides its default"


ELSEWHERE = (
    "tokenmask demo",
    "tokenmask play",
    "tokenmask serve",
    "tokenmask pull",
)  # long, served until it is stopped, of a hub


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.startswith(ELSEWHERE)])
def test_examples_that_run_elsewhere_are_understood(example):
    words = shlex.split(example)
    assert make_parser().parse_args(words[1:]).command == words[1]


@pytest.fixture(scope="module")
def settings_kept(workplace):
    """What ``tune`` finds is gone afterwards: other files of tests draw from the same run, which was opened before."""
    yield
    (workplace / "runs/demo/tuned.yaml").unlink()


@pytest.mark.usefixtures("settings_kept")
@pytest.mark.parametrize("example", [one for one in EXAMPLES if not one.startswith(ELSEWHERE)])
def test_examples_work_as_written(example, workplace, call, monkeypatch):
    """In the order of the help, since some use what one before them made; only the fits are cut short."""
    monkeypatch.chdir(workplace)
    words = shlex.split(example.replace("--steps 100", "--steps 2"))
    assert call(*words[1:]) == 0


def test_help_imports_nothing_heavy_and_the_list_of_recipes_no_torch():
    """One process for both, since each starts in its own."""
    code = "import sys, tokenmask.cli as c\n"
    code += f"for words in {[parser.prog.split()[1:] for parser in ALL]!r}:\n"
    code += "    try: c.main([*words, '--help'])\n    except SystemExit: pass\n"
    code += "    c.main([*words, '--no-such-flag'])\n"
    code += f"print('heavy:', [m for m in {HEAVY!r} if m in sys.modules])\n"
    code += "c.main(['recipes'])\nprint('torch:', 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = result.stdout.splitlines()
    assert "heavy: []" in lines and lines[-1] == "torch: False" and "\x1b" not in result.stdout
    assert len(result.stderr.splitlines()) == len(ALL)


def test_help_is_quick():
    # Processor time, not the clock: a busy machine must not fail this.
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "tokenmask.cli", "--help"], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        seconds.append(min(used.ru_utime + used.ru_stime, time.monotonic() - started))
    assert min(seconds) < 0.5


def test_version(call, capsys):
    with pytest.raises(SystemExit) as left:
        call("--version")
    assert left.value.code == 0 and capsys.readouterr().out.startswith("tokenmask ")


def test_the_demo_is_called_with_its_folder(tmp_path, call, monkeypatch):
    called = []
    monkeypatch.setattr("tokenmask.demo.main", called.append)
    assert call("demo", "--out", tmp_path) == 0 and called == [tmp_path]
