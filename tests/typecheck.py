"""``python tests/typecheck.py``: mypy --strict on tokenmask with modalities inside it, and on a user's script.

mypy cannot follow the mapped package of an editable install, so it is given a folder of links that looks as installed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def link_tree(folder: Path) -> None:
    """Fills ``folder`` with tokenmask/*, tokenmask/modalities and user_script.py, as links."""
    package = folder / "tokenmask"
    package.mkdir()
    for entry in (ROOT / "tokenmask").iterdir():
        if entry.name != "__pycache__":
            (package / entry.name).symlink_to(entry)
    if (ROOT / "modalities").is_dir():
        (package / "modalities").symlink_to(ROOT / "modalities")
    (folder / "user_script.py").symlink_to(ROOT / "tests" / "user_script.py")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        link_tree(Path(folder))
        command = [sys.executable, "-m", "mypy", "--strict", "-p", "tokenmask", "-m", "user_script"]
        settings = ROOT / "pyproject.toml"
        if settings.is_file():
            command += ["--config-file", str(settings)]
        command += ["--cache-dir", str(ROOT / ".mypy_cache"), *sys.argv[1:]]
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
