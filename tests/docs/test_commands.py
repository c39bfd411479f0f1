"""What CONTRIBUTING.md and AGENTS.md tell to run is there: targets of make, scripts, folders of tests, marks."""

import re
import shlex
import shutil
import subprocess
import tomllib

import pytest

from tests.docs.test_documents import ROOT

DOCUMENTS = ("CONTRIBUTING.md", "AGENTS.md")


def printed(name):
    """The commands of a document, without their comments."""
    lines = re.findall(r"^    ((?:make|bash|\.venv/bin/python) .+)$", (ROOT / name).read_text(encoding="utf-8"), re.M)
    return [shlex.split(re.sub(r"\s+#.*", "", line)) for line in lines]


COMMANDS = [(name, words) for name in DOCUMENTS for words in printed(name)]


def test_there_are_commands_in_each():
    assert {name for name, _ in COMMANDS} == set(DOCUMENTS) and len(COMMANDS) > 15


@pytest.mark.parametrize(("name", "words"), COMMANDS, ids=[" ".join(words) for _, words in COMMANDS])
def test_a_command_can_be_called_as_it_is_printed(name, words):
    program, *rest = words
    if program == "make":
        if shutil.which("make") is None:
            pytest.skip("make is not installed")
        told = subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        return
    if "-m" in rest[2:]:  # -m pytest -m MARK
        marks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
        assert rest[-1] in {one.partition(":")[0] for one in marks}
    paths = [word for word in rest if "/" in word]
    assert all((ROOT / path).exists() for path in paths) and (paths or "pytest" in rest)


def test_the_script_of_every_change_runs_what_is_said_of_it():
    said = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("CI runs .ci/run, which adds ")[2]
    names = re.split(r", | and ", said.partition("\n")[0].strip())
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    beside = re.search(r"for what in ([\w -]+); do make", script)
    assert re.search(r"^make test \|\|", script, re.M) and beside and beside[1].split() == names


@pytest.mark.parametrize("name", [*DOCUMENTS, "examples/plugin/README.md", "SECURITY.md"])
def test_links_of_a_document_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s#]+)", text) if "://" not in link]
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []
