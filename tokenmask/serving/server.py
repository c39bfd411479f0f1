"""Server: a run at http://127.0.0.1, until it is told to stop.

Arrow: Run --**serve**--> HTTP. Does not know: what is asked for.

The standard library's server with a thread for each connection: what is slow is the one thread that draws, a thread
that waits for it costs next to nothing, and nothing has to be installed. Nothing is sent elsewhere. Who asks is to send
JSON as such, which no page of another site may do, under a name of this machine.
"""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tokenmask
from tokenmask.medium import said
from tokenmask.run import Run
from tokenmask.serving.asked import read
from tokenmask.serving.limits import Limits, Refused
from tokenmask.serving.waiting import Job, Waiting
from tokenmask.serving.wire import CODES, Wire, as_json, refused, type_of
from tokenmask.telling import heard

HOST = "127.0.0.1"
WARNINGS = "Tokenmask-Warnings"  # the header of an answer that is one file
PIECE = 1 << 16  # bytes that are written at once
LONGEST = 2000  # letters of a refusal, which may repeat what was asked
AGAIN_SECONDS = 1  # what a client that is refused for now is told to wait
WAKE_SECONDS = 0.2  # between two looks at whether a signal has come
FAREWELL_SECONDS = 5.0  # for answers that are on their way when the server stops


@dataclass
class Served:
    """A server that is up.

    Args:
        address: of it.
        waiting: its row of requests.
        folder: of files while they are read and written, removed by :meth:`close`.
    """

    address: str
    waiting: Waiting
    folder: Path
    _http: _Server

    def wait(self) -> None:
        """Until SIGINT or SIGTERM; the second of them does not wait for the call that runs. Of the main thread only."""
        asked = threading.Event()

        def stop(number: int, _: Any) -> None:
            if asked.is_set():
                raise KeyboardInterrupt("stopped before the last requests were answered")
            asked.set()

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not asked.wait(WAKE_SECONDS):  # a signal that another thread takes does not end a wait
                pass
            self.close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Refuses who waits, finishes what runs, sends it, and stops."""
        self.waiting.stop()
        self._http.shutdown()
        self._http.farewell()
        self._http.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)


def serve(run: Run, *, host: str = HOST, port: int = 0, limits: Limits | None = None) -> Served:
    """Starts the server.

    Args:
        run: what it draws with.
        host: address that it listens at; another than this machine's own lets the network in.
        port: 0 takes a free one.
        limits: see :class:`Limits`.

    Raises:
        OSError: the port is taken, or the address is not of this machine.
        ValueError: a port that no address has.
    """
    limits = limits or Limits()
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port must be a number from 0 to 65535, got {port}; choose another")
    folder = Path(tempfile.mkdtemp(prefix="tokenmask-serve-"))
    wire = Wire(run, folder)
    try:
        http = _Server(host, port, wire, limits)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        why = f"the server must be able to listen at {host!r}, port {port}, but cannot ({error.strerror})"
        raise OSError(f"{why}; choose another --port or --host") from error
    http.waiting = Waiting(wire, limits)
    threading.Thread(target=http.serve_forever, args=(0.1,), name="tokenmask-http", daemon=True).start()
    name = f"[{host}]" if ":" in host else host
    return Served(f"http://{name}:{http.server_address[1]}/", http.waiting, folder, http)


class _Server(ThreadingHTTPServer):
    """Connections, counted."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    waiting: Waiting

    def __init__(self, host: str, port: int, wire: Wire, limits: Limits) -> None:
        self.wire = wire
        self.limits = limits
        self.names = {HOST, "localhost", "::1"} if host in (HOST, "localhost", "::1") else None
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._open = self._busy = 0
        self._changed = threading.Condition()
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Takes a connection, unless there are too many."""
        with self._changed:
            full = self._open >= self.limits.most_connections
            self._open += not full
        if full:
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._left()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, until it is closed."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._left()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off says nothing of the server."""

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """While a request is answered."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def farewell(self) -> None:
        """Until all answers are sent, or for some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, FAREWELL_SECONDS)

    def _left(self) -> None:
        with self._changed:
            self._open -= 1


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = f"tokenmask/{tokenmask.__version__}"
    sys_version = ""
    server: _Server
    _whole = True  # nothing of a request is still on its way
    _chunked = True  # pieces of an answer say how long they are

    def setup(self) -> None:
        """Begins."""
        super().setup()
        self.connection.settimeout(self.server.limits.read_seconds)

    def do_GET(self) -> None:
        """What is going on, and what there is."""
        self.close_connection |= "Content-Length" in self.headers or "Transfer-Encoding" in self.headers  # is not read
        with self.server.busy():
            try:
                self._known()
                if self.path == "/health":
                    self._say(200, self.server.waiting.now())
                elif self.path == "/streams":
                    self._say(200, _streams(self.server.wire.run))
                elif self.path in ("/generate", "/edit"):
                    raise Refused(404, f"media are asked for at {self.path} by POST, got GET; send JSON by POST")
                else:
                    raise Refused(404, f"there are /health, /streams, /generate and /edit, got {self.path[:80]!r}")
            except Refused as no:
                self._refuse(no)

    def do_POST(self) -> None:
        """Media."""
        self._whole = False
        with self.server.busy():
            try:
                self._known()
                if self.path not in ("/generate", "/edit"):
                    raise Refused(404, f"media are asked for at /generate and /edit, got {self.path[:80]!r}")
                asked = read(self.path[1:], self._body(), self.server.limits)
                waiting = self.server.waiting
                job = waiting.submit(asked)
                if asked.values.get("pieces"):
                    self._send_pieces(job)
                else:
                    self._send(job, waiting.wait(job, self._is_there))
            except Refused as no:
                self._refuse(no)

    def handle_expect_100(self) -> bool:
        """Whether the body may come: before it is sent."""
        self._whole = False
        try:
            self._known()
            self._length()
        except Refused as no:
            self._refuse(no)
            return False
        return super().handle_expect_100()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses, said as all else is; what came behind it is not read as another request."""
        self._whole = False
        if code == 501:
            message = f"the server is asked by GET and POST, got {self.command[:20]}; use one of these"
        self._refuse(Refused(code, message or "the request is no HTTP that is understood here; correct it"))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing; /health counts."""

    def _known(self) -> None:
        """Refused unless the request is for this machine under its own name, as no page of another site's is."""
        host = self.headers.get("Host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self.server.names is not None and name.strip("[]").lower() not in self.server.names:
            raise Refused(403, f"the server is asked as {HOST} or localhost, got {host[:80]!r}; use one of these")
        if self.command == "POST" and self.headers.get_content_type() != "application/json":
            kind = self.headers.get_content_type()
            raise Refused(415, f"a request is JSON, got {kind}; send it with Content-Type: application/json")

    def _length(self) -> int:
        text = ",".join(self.headers.get_all("Content-Length", []))  # two of them are none
        most = self.server.limits.most_bytes
        if not text.isdecimal() or "Transfer-Encoding" in self.headers:
            raise Refused(411, "a request says how long it is, this one does not; send it with Content-Length")
        if len(text) > 18 or int(text) > most:
            raise Refused(413, f"a request may take {most:,} bytes, got {text[:18]}; send less")
        return int(text)

    def _body(self) -> bytes:
        length = self._length()
        try:
            body = self.rfile.read(length)
        except OSError as error:
            raise Refused(408, f"the request did not arrive ({error}); send it again") from error
        if len(body) < length:
            raise Refused(400, f"a request of {length} bytes was announced, {len(body)} came; send it again")
        self._whole = True
        return body

    def _is_there(self) -> bool:
        """Whether the client still listens: one that has gone can be read, and there is nothing."""
        try:
            ready, _, _ = select.select([self.connection], [], [], 0)
            return not ready or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def _send(self, job: Job, media: Any) -> None:
        """The file with what is told in a header, or several in JSON with what is told beside."""
        wire, values = self.server.wire, job.asked.values
        try:
            ending = wire.ending(values["stream"], values.get("ending"))
            with heard() as told:
                files = [wire.file_of(one, ending) for one in media]
        except Exception as error:
            raise refused(error) from error
        warnings = wire.warnings([*job.told, *told])
        if len(files) == 1:
            self._write(200, files[0], type_of(ending), **({WARNINGS: json.dumps(warnings)} if warnings else {}))
        else:
            self._say(200, as_json(files, ending) | ({"warnings": warnings} if warnings else {}))

    def _send_pieces(self, job: Job) -> None:
        """A line of JSON for each piece, as soon as it is made."""
        wire, values = self.server.wire, job.asked.values
        pieces = self.server.waiting.pieces(job, self._is_there)
        piece = next(pieces, None)  # what is refused is, before anything is sent
        ending = wire.ending(values["stream"], values.get("ending"))
        self._chunked = self.request_version != "HTTP/1.0"  # which has no chunks: its answer ends with the connection
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header(*(("Transfer-Encoding", "chunked") if self._chunked else ("Connection", "close")))
        self.end_headers()
        try:
            try:
                with heard() as told:
                    while piece is not None:
                        self._chunk(as_json([wire.file_of(piece, ending)], ending)["samples"][0])
                        piece = next(pieces, None)
            except Refused as no:
                self._chunk({"error": no.sentence})
            if warnings := wire.warnings([*job.told, *told]):
                self._chunk({"warnings": warnings})
            self.wfile.write(b"0\r\n\r\n" if self._chunked else b"")
        except OSError:  # who asked has gone
            job.left = self.close_connection = True

    def _chunk(self, value: Any) -> None:
        line = json.dumps(value).encode() + b"\n"
        self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line) if self._chunked else line)

    def _say(self, status: int, value: Any, **headers: str) -> None:
        self._write(status, json.dumps(value).encode() + b"\n", "application/json", **headers)

    def _refuse(self, no: Refused) -> None:
        """A sentence; the connection ends where a body may still be on its way."""
        self.close_connection = self.close_connection or not self._whole
        again = {"Retry-After": str(AGAIN_SECONDS)} if no.status in (429, 503) else {}
        sentence = no.sentence if len(no.sentence) <= LONGEST else f"{no.sentence[:LONGEST]} ..."
        with contextlib.suppress(OSError):
            self._say(no.status, {"error": sentence}, **again)
            if not self._whole:
                self._drain()

    def _drain(self) -> None:
        """Reads on a little, so that a client that still sends gets to the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        until, left = time.monotonic() + 2, 2 * self.server.limits.most_bytes
        self.connection.settimeout(0.5)
        while left > 0 and time.monotonic() < until and (got := len(self.connection.recv(PIECE))):
            left -= got

    def _write(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        said = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Content-Type-Options": "nosniff", **headers}
        if self.close_connection:
            said["Connection"] = "close"
        for name, value in said.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for at in range(0, len(body), PIECE):
                self.wfile.write(body[at : at + PIECE])
        except OSError:  # who asked has gone
            self.close_connection = True


def _streams(run: Run) -> dict[str, Any]:
    """What a run has, for who asks."""
    found = {}
    for name, tokenizer in run.tokenizers.items():
        spec, kind = run.layout.streams[name], tokenizer.media
        found[name] = {
            "modality": spec.modality,
            "words": bool(said(kind, "words")),
            "axes": list(spec.axes),
            "grid": list(spec.grid),
            "codes_per_second": spec.rate_hz,
            "levels": spec.num_levels,
            "reads": [*said(kind, "suffixes"), CODES],
            "writes": [*said(kind, "written_suffixes"), CODES],
        }
    return found
