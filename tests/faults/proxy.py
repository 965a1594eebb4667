"""A wire between a worker and Postgres that can be cut at the worst moment."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

HOST = "127.0.0.1"
CHUNK = 65_536
LOOK_SECONDS = 0.02


class Fuse:
    """Blows once, at the first COMMIT after a statement.

    The connection is cut with the COMMIT not delivered, or delivered and carried out, but untold.
    """

    def __init__(self, statement: str, *, delivered: bool) -> None:
        self.statement = statement.strip().encode()
        self.delivered = delivered
        self.has_blown = False


class Proxy:
    """Use it as a context. It passes everything on until it has a fuse, or is down."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self.fuse: Fuse | None = None
        self.is_down = False
        self.turned_away = 0
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> Proxy:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_down = True
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut(self) -> None:
        """Go down; returns when nothing passes any more."""
        self.is_down = True
        for thread in self._threads[1:]:
            thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut
            while True:
                client, _ = self._listener.accept()
                if self.is_down:
                    self.turned_away += 1
                    client.close()
                    continue
                self._threads.append(threading.Thread(target=self._carry, args=[client]))
                self._threads[-1].start()

    def _carry(self, client: socket.socket) -> None:
        seen = b""
        with client, socket.create_connection(self._target) as server, contextlib.suppress(OSError):
            while not self.is_down:
                for end in select.select([client, server], [], [], LOOK_SECONDS)[0]:
                    data = end.recv(CHUNK)
                    if end is client:
                        seen = (seen + data)[-CHUNK:]
                    if not data or (end is client and self._cuts(data, seen, server)):
                        return
                    (server if end is client else client).sendall(data)

    def _cuts(self, data: bytes, seen: bytes, server: socket.socket) -> bool:
        fuse = self.fuse
        if fuse is None or fuse.has_blown or b"COMMIT" not in data or fuse.statement not in seen:
            return False
        if fuse.delivered:
            server.sendall(data)
            server.recv(CHUNK)  # it is done when the server says so
        fuse.has_blown = True
        return True
