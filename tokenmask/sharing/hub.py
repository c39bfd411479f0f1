"""To a hub and back, through huggingface_hub (extra ``tokenmask[hub]``).

Arrow: Run --**push**--> repository --**pull**--> run folder, whole or not there. Does not know: what a run is made of.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import tokenmask
from tokenmask.run.card import Card
from tokenmask.run.run import Run
from tokenmask.sharing.card import CARD_FILE
from tokenmask.sharing.staging import belongs, check_harmless, stage

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def push(run: Run, name: str, *, card: Card | None = None, public: bool = False, endpoint: str | None = None) -> str:
    """Sends a run to a hub, as one commit: recipe, layout, weights, tokenizers, figures and its card; no data.

    Args:
        run: any that can be saved.
        name: "user/name"; a repository that is not there is made.
        card: what its README.md says; None takes the one in its folder, or makes one of what is known.
        public: whether a new repository can be seen by everybody.
        endpoint: address of the hub; None is that of huggingface_hub, whose login is used.

    Returns:
        the address of the commit.

    Raises:
        ValueError: a wrong name, a public run without a licence, something that could run a program, or a hub that
            refuses or does not answer; of a refused commit nothing is seen on the hub.
        ImportError: huggingface_hub is not installed.
    """
    check_name(name)
    hub = _library("push")
    with tempfile.TemporaryDirectory() as folder:
        stage(run, Path(folder) / "run", card)
        text = (Path(folder) / "run" / CARD_FILE).read_text(encoding="utf-8")
        if public and not _licensed(text):
            raise ValueError(
                f"a public run must say its licence, but the card of {run.folder} does not; give it one "
                "(tm.Card(licence=...), --licence NAME)"
            )
        api = hub.HfApi(endpoint=endpoint, library_name="tokenmask", library_version=tokenmask.__version__)
        try:
            api.create_repo(name, private=not public, exist_ok=True)
            done = api.upload_folder(
                repo_id=name,
                folder_path=Path(folder) / "run",
                commit_message=f"Run of tokenmask {tokenmask.__version__}",
            )
        except _refusals(hub) as error:
            raise ValueError(f"{name} was not sent to the hub ({_reason(error)}); log in, or check its name") from error
    return str(done.commit_url)


def pull(name: str, folder: str | Path, *, revision: str | None = None, endpoint: str | None = None) -> Run:
    """Fetches a run from a hub into a folder, and opens it.

    Only files that a run has are fetched, all of one commit, and the folder appears when all are there and the run
    opened; else nothing is left.

    Args:
        name: "user/name".
        folder: new or empty.
        revision: branch, tag or commit; None is the main branch.
        endpoint: see :func:`push`.

    Raises:
        ValueError: a folder that holds something, no such repository, one that holds no run, or something in it that
            could run a program.
        ImportError: huggingface_hub is not installed.
    """
    check_name(name)
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"a run is fetched into a new folder, but {target} holds something; name another")
    hub = _library("pull")
    api = hub.HfApi(endpoint=endpoint, library_name="tokenmask", library_version=tokenmask.__version__)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        _fetch(hub, api, name, revision, partial)
        Run.load(partial)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Run.load(target)


def _fetch(hub: Any, api: Any, name: str, revision: str | None, folder: Path) -> None:
    """The files of a run, all of one commit, into a folder."""
    try:
        about = api.repo_info(name, revision=revision)
        names = [one.rfilename for one in about.siblings or () if belongs(one.rfilename)]
        if "run.json" not in names:
            raise ValueError(f"{name} must hold a run of tokenmask, but has no run.json; check the name")
        for one in sorted(names):
            api.hf_hub_download(name, one, revision=about.sha, local_dir=folder)
            check_harmless(folder / one, one)
    except _refusals(hub) as error:
        raise ValueError(
            f"{name} was not fetched from the hub ({_reason(error)}); check its name, or log in"
        ) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # what huggingface_hub notes for itself


def check_name(name: str) -> None:
    """ValueError unless it is a name as hubs have them."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f'a run on a hub is called "user/name", got {name!r}; write it so')


def _licensed(text: str) -> bool:
    """Whether the front matter of a card names a licence."""
    front = text.split("\n---", 1)[0] if text.startswith("---\n") else ""
    return re.search(r"^license: *\S", front, re.M) is not None


def _library(what: str) -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise ImportError(f"{what} needs the library huggingface_hub; pip install 'tokenmask[hub]'") from error


def _refusals(hub: Any) -> tuple[type[Exception], ...]:
    """What a client raises; RuntimeError is hf_xet's, where the storage of large files fails."""
    errors = importlib.import_module("huggingface_hub.errors")
    return (RuntimeError, OSError, errors.HfHubHTTPError, errors.HFValidationError, *_lost(hub))


def _lost(hub: Any) -> tuple[type[Exception], ...]:
    """What the client that it is built on raises where nothing answers."""
    session = importlib.import_module("huggingface_hub.utils").get_session()
    client = importlib.import_module(type(session).__module__.partition(".")[0])
    return (client.HTTPError,) if hasattr(client, "HTTPError") else ()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
