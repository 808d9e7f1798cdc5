"""The server of the viewer: on the loopback only, until it is interrupted."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsml.extras import needed
from lsml.viewer.columns import Column, read_columns

LOOPBACK = "127.0.0.1"
KEPT = 3_600_000  # ms that a session waits for its browser to come, or come back


@dataclass(frozen=True)
class Viewer:
    """A server that listens; ``url`` is where."""

    server: Any
    url: str

    def run(self) -> None:
        """Serve until interrupted."""
        self.server.start()
        with suppress(KeyboardInterrupt):
            self.server.io_loop.start()
        self.server.stop(wait=False)


def view(
    paths: Sequence[str | Path], groups: Sequence[str] = (), port: int = 0
) -> Viewer:
    """A page that shows the results of these files beside each other.

    Parameters
    ----------
    groups : of the files; all by default.
    port : of the loopback; any free one if 0.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`lsml.viewer.columns.read_columns`, and a port that is none.
    OSError
        The port is taken.
    ImportError
        panel is missing; the message names the extra.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"port = {port} must be from 1 to 65535, or 0 for a free one")
    return listen(read_columns(paths, groups), port)


def listen(columns: Sequence[Column], port: int) -> Viewer:
    """Bind the port, so that the page can be asked for from now on."""
    with needed("the viewer needs panel", "view"):
        from bokeh.server.server import BaseServer
        from bokeh.server.tornado import BokehTornado
        from bokeh.server.util import bind_sockets
        from panel.io.application import build_applications
        from tornado.httpserver import HTTPServer
        from tornado.ioloop import IOLoop
    from lsml.viewer.guard import guarded
    from lsml.viewer.page import page

    try:
        sockets, port = bind_sockets(LOOPBACK, port)
    except OSError as error:
        raise OSError(f"port {port} cannot be used: {error.strerror}") from None
    hosts = [f"{LOOPBACK}:{port}", f"localhost:{port}"]
    title = "lsml · " + ", ".join(column.name for column in columns)

    def root() -> Any:  # panel calls functions, but shows whatever else can be called
        return page(columns)

    applications = build_applications({"/": root}, title=title)
    loop = IOLoop.current()
    # A browser that connects after its session has ended is given one whose style
    # sheets panel takes from its servers: slow machines need more than Bokeh's 15 s.
    tornado = BokehTornado(
        applications,
        extra_websocket_origins=hosts,
        unused_session_lifetime_milliseconds=KEPT,
    )
    http = HTTPServer(guarded(tornado, hosts))
    http.add_sockets(sockets)
    return Viewer(BaseServer(loop, tornado, http), f"http://{hosts[0]}/")
