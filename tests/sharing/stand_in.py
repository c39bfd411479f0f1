"""A stand-in for a hub, on 127.0.0.1: as much of its HTTP API as huggingface_hub asks for to send and fetch a run.

It is not the hub: it knows no accounts and checks no sizes. Small files come inside of the commit, safetensors by the
protocol of Git LFS ("basic"), as with the hub. What it was asked stands in ``asked``, what it keeps in ``kept``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class Hub(ThreadingHTTPServer):
    """``kept``: repository -> path -> content; ``private``: repository -> whether; ``broken``: paths that fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.kept: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.objects: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.refuse_commits = False
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
                made[value["path"]] = self.server.objects[value["oid"]]
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
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._send(200, content, {"ETag": etag, "X-Repo-Commit": self._head(), "Accept-Ranges": "bytes"})

    def _head(self) -> str:
        return self.server.commits[-1] if self.server.commits else "0" * 40
