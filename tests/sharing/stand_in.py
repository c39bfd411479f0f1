"""A stand-in for a hub, on 127.0.0.1: as much of its HTTP API as huggingface_hub asks for to send and fetch a run.

It is not the hub: it knows no accounts and checks no sizes. Small files come inside of the commit, safetensors by the
protocol of Git LFS ("basic"), or by that of Xet where ``xet`` names a folder: there hf_xet's own code keeps chunks as
its local storage does, in the place of a server of theirs, and what is committed is found in its shards by its
checksum. What it was asked stands in ``asked``, what it keeps in ``kept``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass(frozen=True)
class Chunked:
    """A file that stands in xet's storage: its number there, its checksum and its size."""

    number: str
    checksum: str
    size: int


class Hub(ThreadingHTTPServer):
    """``kept``: repository -> path -> content; ``private``: repository -> whether; ``broken``: paths that fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.kept: dict[str, dict[str, bytes | Chunked]] = {}
        self.private: dict[str, bool] = {}
        self.objects: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.refuse_commits = False
        self.xet: Path | None = None
        self.refuse_tokens = False
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, code: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: object, code: int = 200, **headers: str) -> None:
        self._send(code, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})

    def _missing(self) -> None:
        self._json({"error": "not found"}, 404, **{"X-Error-Code": "RepoNotFound"})

    def do_POST(self) -> None:
        path, body = self.path, self._body()
        self.server.asked.append(("POST", path))
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            if name in self.server.kept:
                return self._json({"error": "it is there", "url": f"{self.server.address}/{name}"}, 409)
            self.server.kept[name], self.server.private[name] = {}, asked.get("visibility") == "private"
            return self._json({"url": f"{self.server.address}/{name}", "name": name, "id": name})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._json(
                {"transfer": "basic", "objects": [self._place(one) for one in json.loads(body)["objects"]]}
            )
        name, _, what = path.removeprefix("/api/models/").partition("/preupload/")
        if what:
            files = json.loads(body)["files"]
            modes = [("lfs" if one["path"].endswith(".safetensors") else "regular", one["path"]) for one in files]
            return self._json(
                {"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for mode, path in modes]}
            )
        name, _, what = path.removeprefix("/api/models/").partition("/commit/")
        if what and self.server.refuse_commits:
            return self._json({"error": "the disk of the hub is full"}, 507)
        return self._commit(name, body) if what else self._missing()

    def _place(self, one: dict[str, object]) -> dict[str, object]:
        upload = {"href": f"{self.server.address}/objects/{one['oid']}"}
        return {"oid": one["oid"], "size": one["size"], "actions": {"upload": upload}}

    def _commit(self, name: str, body: bytes) -> None:
        made = dict(self.server.kept[name])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                made[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                oid = value["oid"]
                own = None if self.server.xet is None else chunked(self.server.xet, oid, value["size"])
                made[value["path"]] = own or self.server.objects[oid]
        self.server.kept[name] = made
        number = hashlib.sha1(body).hexdigest()
        self.server.commits.append(number)
        self._json({"commitUrl": f"{self.server.address}/{name}/commit/{number}", "commitOid": number, "success": True})

    def do_PUT(self) -> None:
        content = self._body()
        self.server.asked.append(("PUT", self.path))
        number = self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == number
        self.server.objects[number] = content
        self._send(200)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.server.asked.append((self.command, path))
        if "/xet-" in path and self.server.xet is not None:
            if self.server.refuse_tokens:
                return self._json({"error": "no storage for you"}, 403)
            address, until = f"local://{self.server.xet}", int(time.time()) + 3600
            told = {"X-Xet-Cas-Url": address, "X-Xet-Access-Token": "t", "X-Xet-Token-Expiration": str(until)}
            return self._json({"casUrl": address, "accessToken": "t", "exp": until}, **told)
        if path.startswith("/api/models/"):
            name = path.removeprefix("/api/models/").partition("/revision/")[0]
            if name not in self.server.kept:
                return self._missing()
            files = [{"rfilename": one} for one in self.server.kept[name]]
            return self._json({"id": name, "sha": self._head(), "siblings": files, "private": False, "tags": []})
        name, _, rest = path[1:].partition("/resolve/")
        file = rest.partition("/")[2]
        content = self.server.kept.get(name, {}).get(file)
        if content is None:
            return self._missing()
        if file in self.server.broken and self.command == "GET":
            return self._json({"error": "the disk of the hub is broken"}, 500)
        if isinstance(content, Chunked):
            assert self.command == "HEAD", "chunks are fetched from their storage"
            route = f"{self.server.address}/api/models/{name}/xet-read-token/main"
            told = {"X-Xet-Hash": content.number, "X-Xet-Refresh-Route": route, "ETag": f'"{content.checksum}"'}
            return self._send(200, b"", {**told, "Content-Length": str(content.size), "X-Repo-Commit": self._head()})
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._send(200, content, {"ETag": etag, "X-Repo-Commit": self._head(), "Accept-Ranges": "bytes"})

    def _head(self) -> str:
        return self.server.commits[-1] if self.server.commits else "0" * 40


def chunked(storage: Path, checksum: str, size: int) -> Chunked | None:
    """The file of a checksum in the shards of a local storage of hf_xet, None where none tells of it.

    A shard begins with 48 bytes; then each file has 48 bytes (number, flags, count of entries), 48 for each entry, as
    many again with flag 31, and 48 with flag 30 that begin with its checksum. Numbers are four integers.
    """
    for shard in sorted(storage.rglob("shards/*.mdb")):
        data, at = shard.read_bytes(), 48
        while data[at : at + 32] != b"\xff" * 32:
            flags, count = struct.unpack("<II", data[at + 32 : at + 40])
            last = at + 48 * (1 + count * (1 + (flags >> 31)))
            if flags >> 30 & 1 and _spelled(data[last : last + 32]) == checksum:
                return Chunked(_spelled(data[at : at + 32]), checksum, size)
            at = last + 48 * (flags >> 30 & 1)
    return None


def _spelled(number: bytes) -> str:
    return "".join(f"{part:016x}" for part in struct.unpack("<4Q", number))
