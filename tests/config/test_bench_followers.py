from __future__ import annotations

from config.bench_followers import UNREADABLE, follow
from tests.providers import peers

LINKS = [("go1.example.com", f"code{number:04d}") for number in range(20)]
REDIRECT = peers.answer(302, Location="https://jobs.example.com/")
GONE = peers.answer(410, b"<p>gone</p>")


def followed(talk, *, connections=4):
    """What came of it, how often it was reported, and what the peer read."""

    async def act():
        reports = []
        async with peers.Peer(talk).running() as peer:
            found = await follow(LINKS, peer.port, connections=connections, report=reports.append)
        return found, reports, peer

    return peers.run(act())


def test_each_link_is_asked_for_once_on_its_domain():
    found, reports, peer = followed(peers.always(REDIRECT))
    asked = sorted(request.split(b"\r\n")[0] for request in peer.requests)
    assert asked == [f"GET /{code} HTTP/1.1".encode() for _, code in LINKS]
    assert all(b"\r\nHost: go1.example.com\r\n" in request for request in peer.requests)
    assert (found.answers, len(found.waits), max(reports)) == ({302: 20}, 20, 20)


def test_the_connections_are_kept():
    *_, peer = followed(peers.always(REDIRECT), connections=3)
    assert peer.connections == 3


def test_an_answer_is_read_to_its_end():
    found, *_ = followed(peers.always(GONE))
    assert found.answers == {410: 20}


def test_a_connection_that_breaks_leaves_the_rest_to_the_others():
    broken = []

    async def breaks_once(client):
        while True:
            await client.read()
            if not broken:
                broken.append(client)
                return
            await client.write(REDIRECT)

    found, *_ = followed(breaks_once)
    assert found.answers == {302: 19, UNREADABLE: 1}


def test_an_answer_without_its_length_is_not_waited_for():
    found, *_ = followed(peers.always(b"HTTP/1.1 200 OK\r\n\r\n"))
    assert found.answers == {UNREADABLE: 4}
