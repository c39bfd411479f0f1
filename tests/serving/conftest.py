"""A tiny run behind HTTP, and how it is asked."""

import base64
import http.client
import json
import threading
import time

import pytest

from tests.worlds import tiny_run
from tokenmask.serving import Limits, serve


class Client:
    """Asks a server, each time over a connection of its own."""

    def __init__(self, served):
        self.port = int(served.address.rstrip("/").rpartition(":")[2])

    def raw(self, method, path, body=None, **headers):
        """(status, content type, bytes)."""
        status, found, read = self.whole(method, path, body, **headers)
        return status, found["Content-Type"], read

    def whole(self, method, path, body=None, **headers):
        """(status, headers, bytes)."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            line.close()

    def get(self, path):
        status, _, body = self.raw("GET", path)
        assert status == 200
        return json.loads(body)

    def post(self, path, **values):
        return self.raw("POST", path, json.dumps(values), **{"Content-Type": "application/json"})

    def refusal(self, path, **values):
        """(status, sentence)."""
        status, kind, body = self.post(path, **values)
        assert status >= 400 and kind == "application/json"
        return status, json.loads(body)["error"]

    def until(self, waiting):
        """Returns once so many requests wait."""
        for _ in range(600):
            if self.get("/health")["waiting"] == waiting:
                return
            time.sleep(0.05)
        raise AssertionError(f"never did {waiting} requests wait: {self.get('/health')}")

    def together(self, requests):
        """The answers to (path, values), all asked at once."""
        answers, start = [None] * len(requests), threading.Barrier(len(requests))

        def one(place):
            path, values = requests[place]
            start.wait()
            answers[place] = self.post(path, **values)

        threads = [threading.Thread(target=one, args=(place,)) for place in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


def file_in_json(path):
    return {"base64": base64.b64encode(path.read_bytes()).decode(), "ending": path.suffix}


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("served"), "captions")


@pytest.fixture
def served(run):
    up = serve(run)
    yield up
    up.close()
    assert not up.folder.exists()


@pytest.fixture
def client(served):
    return Client(served)


@pytest.fixture
def held(run):
    """A server whose calls of the run wait until they are let go: (client, begun, let go, served)."""
    begun, free = threading.Semaphore(0), threading.Event()

    class Held:
        def __getattr__(self, name):
            return getattr(run, name)

        def generate(self, *args, **options):
            begun.release()
            assert free.wait(60)
            return run.generate(*args, **options)

    up = serve(Held(), limits=Limits(most_waiting=4, wait_seconds=30))
    yield Client(up), begun, free, up
    free.set()
    up.close()
