"""Server: the page on this machine alone.

Arrow: Run --**serve**--> http://127.0.0.1. Does not know: what the page shows.
Nothing is sent elsewhere, by the server or by the page: the library's reports home are off, and a policy forbids the
browser every address but this one.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmask.play.limits import MOST_BYTES, MOST_WAITING
from tokenmask.play.swaps import Swaps
from tokenmask.run import Run

HOST = "127.0.0.1"
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; form-action 'self'; base-uri 'self'; frame-ancestors 'self'; object-src 'none'"
)
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]


@dataclass
class Served:
    """A page that is up.

    Args:
        address: of it.
        folder: of its uploads, removed by :meth:`close`.
        blocks: the library's object.
    """

    address: str
    folder: Path
    blocks: Any

    def wait(self) -> None:
        """Until Ctrl-C."""
        try:
            self.blocks.block_thread()
        finally:
            self.close()

    def close(self) -> None:
        """Stops it and removes what was uploaded."""
        self.blocks.close(verbose=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def serve(run: Run, swaps: Swaps | None = None, *, port: int = 0, browser: bool = False) -> Served:
    """Starts the page.

    Args:
        run: what it draws with.
        swaps: tokenizers to exchange on it.
        port: 0 takes a free one.
        browser: opens it in the browser of this machine.

    Raises:
        ImportError: gradio is not installed.
        OSError: the port is taken.
    """
    folder = Path(tempfile.mkdtemp(prefix="tokenmask-play-"))
    os.environ.update(_QUIET | {"GRADIO_TEMP_DIR": str(folder)})  # read when it is imported, and when files arrive
    try:
        needed()
        blocks = importlib.import_module("tokenmask.play.page").make_page(run, swaps or Swaps(run, {}), folder)
        _, address, _ = blocks.queue(max_size=MOST_WAITING, default_concurrency_limit=1, api_open=False).launch(
            server_name=HOST,
            server_port=port or _free_port(),
            share=False,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            show_error=False,
            footer_links=[],
            max_file_size=MOST_BYTES,
            allowed_paths=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            state_session_capacity=16,
            app_kwargs={"middleware": _middleware()},
            **blocks.looks,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Served(address, folder, blocks)


def needed() -> Any:
    """gradio, imported; ImportError in a sentence where it is not installed."""
    try:
        return importlib.import_module("gradio")
    except ImportError as error:
        reason = "" if isinstance(error, ModuleNotFoundError) and error.name == "gradio" else f" ({error})"
        raise ImportError(
            f"the playground needs the library gradio, which cannot be imported{reason}; pip install 'tokenmask[play]'"
        ) from error


class Guarded:
    """Answers with the policy above: what a page may load, and from where."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: _Send) -> None:
        """One request."""

        async def answered(message: _Message) -> None:
            if message["type"] == "http.response.start":
                said = [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
                message["headers"] = [*message.get("headers", ()), *said]
            await send(message)

        await self.app(scope, receive, answered)


def _middleware() -> list[Any]:
    """The policy, and no other name for this machine, so that no foreign page reaches it through one of its own."""
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    return [Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]), Middleware(Guarded)]


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port
