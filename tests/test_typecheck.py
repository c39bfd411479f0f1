"""`make lint` checks types through tests/typecheck.py, which sees modalities inside tokenmask."""

from pathlib import Path

from tests.typecheck import link_tree

ROOT = Path(__file__).parents[1]


def test_the_tree_of_links_holds_every_part(tmp_path):
    link_tree(tmp_path)
    parts = {path.name for path in (tmp_path / "tokenmask").iterdir()}
    assert {path.name for path in (ROOT / "tokenmask").glob("*.py")} < parts
    assert (tmp_path / "tokenmask" / "modalities" / "__init__.py").is_file()
    assert "call-arg" in (tmp_path / "user_script.py").read_text()


def test_lint_calls_it():
    rule = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert "python tests/typecheck.py" in rule
    assert "for what in lint " in (ROOT / ".ci" / "run").read_text()
