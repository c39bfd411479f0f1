"""Runs the notebooks of this folder: they show what the code of today makes.

    python docs/notebooks/execute.py [NAME ...]      # all of them, or these; in place

Arrow: notebook --a kernel--> the same notebook with its outputs. Does not know: the site.
Needs nbclient and ipykernel.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LONGEST_SECONDS = 300  # of a cell, on a machine that is busy
# One thread, so that a busy machine takes no longer; no warning about a debugger.
SETTINGS = {"OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def execute(path: Path) -> Any:
    """The notebook of a file, run from first cell to last, in a folder that is gone then.

    Raises:
        CellExecutionError: a cell failed.
    """
    import nbformat
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        address = {"transport": "ipc", "ip": f"{folder}/.kernel"}  # opens no port
        kernel = AsyncKernelManager(kernel_name="python3", **address)
        options = {"timeout": LONGEST_SECONDS, "record_timing": False}
        client = NotebookClient(notebook, kernel, **options)
        client.owns_km = True  # and so ends it
        client.execute(env={**os.environ, **SETTINGS}, cwd=folder)
    return without_traces(notebook)


def without_traces(notebook: Any) -> Any:
    """Versions, and where in memory an object was, are taken out: others tomorrow."""
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for kind, text in output.get("data", {}).items():
                if isinstance(text, str) and kind.startswith("text/"):
                    output.data[kind] = re.sub(r" at 0x[0-9a-f]+", "", text)
    return notebook


def main(names: list[str]) -> None:
    """Runs them and writes them back."""
    import nbformat

    for path in sorted(HERE.glob("*.ipynb")):
        if not names or path.stem in names:
            nbformat.write(execute(path), path)


if __name__ == "__main__":
    main(sys.argv[1:])
