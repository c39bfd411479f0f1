"""Help: quick, without torch, and complete."""

import argparse
import subprocess
import sys
import time

import pytest

from tokenmask.cli import HOMES
from tokenmask.cli.parser import make_parser


def parsers(parser: argparse.ArgumentParser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


ALL = list(parsers(make_parser()))


def test_every_command_has_a_home():
    commands = next(a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == set(HOMES)
    assert set(HOMES) == {
        *("fit", "encode", "decode", "corpus", "train", "generate", "evaluate", "info", "recipes", "demo")
    }


@pytest.mark.parametrize("parser", ALL, ids=[parser.prog for parser in ALL])
def test_every_flag_is_explained(parser):
    text = " ".join(parser.format_help().split())
    assert parser.description and (parser.prog == "tokenmask" or "examples:" in text)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert all(choice.help for choice in action._choices_actions)
            continue
        assert action.help, f"{parser.prog}: {action.dest} has no help"
        assert all(flag in text for flag in action.option_strings or [action.metavar or action.dest])
        assert " ".join((action.help % vars(action) if "%(" in action.help else action.help).split()[:4]) in text


def test_help_imports_nothing_heavy():
    code = "import sys, tokenmask.cli as c\ntry: c.main(['train', '--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'numpy', 'jsonargparse', 'yaml', 'PIL', 'pyarrow') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_help_is_quick():
    # Processor time, not the clock: a busy machine must not fail this.
    code = "import resource, subprocess, sys\n"
    code += "subprocess.run([sys.executable, '-m', 'tokenmask.cli', '--help'], check=True, stdout=subprocess.DEVNULL)\n"
    code += "print(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]))"
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(min(float(result.stdout), time.monotonic() - started))
    assert min(seconds) < 0.5
