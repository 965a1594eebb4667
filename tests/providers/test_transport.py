from __future__ import annotations

import asyncio
import gzip
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters.twilio import Twilio
from providers.base import (
    Accepted,
    EndsTooSoon,
    Fault,
    HttpRequest,
    LookUp,
    NoAnswer,
    NotListed,
    NotSent,
    Unknown,
)
from providers.connection import MAX_ANSWER_BYTES
from providers.transport import Transport, form_encoded
from tests.providers.peers import (
    Peer,
    a_send,
    always,
    an_access,
    answer,
    filling,
    outcome_of,
    outcomes_of,
    run,
    sent_over_tls,
    sent_through,
    sent_to,
    taken,
)

NO_YEAR = "Fri, 31 Dec 99999999999 23:59:59 GMT"
NOT_CONNECTED = NotSent("could_not_connect", unreachable=True)
REFUSED = NotSent("address_refused")
TAKEN = taken(a_send())


async def silent(client):
    await client.read()
    await client.reader.read()


async def closing(client):
    await client.read()


class TestWhatIsSurelyNotSent:
    def test_a_refused_connection(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert run(sent_to(an_access(port))) == NOT_CONNECTED

    def test_a_name_that_does_not_exist(self, monkeypatch):
        async def look_up(self, host, port=0, family=0):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")

        monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", look_up)
        access = an_access(0, base_url="https://nobody.example.com", simulated=False)
        assert run(sent_to(access)) == NOT_CONNECTED

    def test_a_connection_that_does_not_come_about_in_time(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
            address = server.getsockname()
            fillers = [filling(address) for _ in range(4)]
            result = run(sent_to(an_access(address[1]), connect_seconds=0.2))
            for filler in fillers:
                filler.close()
        assert result == NOT_CONNECTED

    @pytest.mark.parametrize(
        ("within", "outcome"), [(3.0, NOT_CONNECTED), (0.2, NotSent("too_late"))]
    )
    def test_a_connection_that_would_come_after_the_deadline_of_the_write(self, within, outcome):
        """Whom we gave next to no time may be well."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
            address = server.getsockname()
            fillers = [filling(address) for _ in range(4)]
            by = time.monotonic() + within
            result = run(sent_to(an_access(address[1]), write_by=by, connect_seconds=60))
            for filler in fillers:
                filler.close()
        assert result == outcome

    def test_a_connection_that_they_closed_before_it_was_written_to(self, monkeypatch):
        connect, announced = Transport._connect, []

        async def connect_in_vain(*arguments):
            connection = await connect(*arguments)
            connection.close()
            return connection

        async def in_vain():
            async with Peer(always(TAKEN)).running() as peer, Transport() as transport:
                access, announce = an_access(peer.port), lambda: announced.append(1)
                return await transport.send(Twilio(), [a_send()], access, announce=announce)

        monkeypatch.setattr(Transport, "_connect", connect_in_vain)
        assert run(in_vain()) == {"r1": NOT_CONNECTED}
        assert announced == []

    def test_a_request_whose_deadline_passed_before_its_first_byte(self):
        async def late():
            async with Peer(always(TAKEN)).running() as peer, Transport() as transport:
                access = an_access(peer.port)
                first = await transport.send(Twilio(), [a_send()], access)
                passed = time.monotonic() - 1
                second = await transport.send(Twilio(), [a_send()], access, write_by=passed)
                third = await transport.send(Twilio(), [a_send()], access)
                return [first["r1"], second["r1"], third["r1"]], len(peer.requests)

        outcomes, seen = run(late())
        assert outcomes[1] == NotSent("too_late")
        assert outcomes[0] == outcomes[2] != outcomes[1]
        assert seen == 2

    def test_a_tls_handshake_that_fails(self):
        async def plain(client):
            await client.write(answer(400))
            await client.reader.read()

        assert run(sent_over_tls(plain, connect_seconds=60)) == NOT_CONNECTED

    def test_a_tls_handshake_that_does_not_end(self):
        assert run(sent_over_tls(silent, connect_seconds=0.2)) == NOT_CONNECTED

    def test_a_request_that_cannot_be_built(self):
        access = an_access(1, secrets={})
        assert run(sent_to(access)) == NotSent("request_not_built")

    def test_a_message_that_they_would_keep_past_its_time(self, caplog):
        class Keeping(Twilio):
            def build_request(self, sends, access):
                raise EndsTooSoon

        assert run(sent_to(an_access(1), adapter=Keeping())) == NotSent("ends_too_soon")
        assert not caplog.records

    def test_a_header_with_a_line_break(self):
        class Odd(Twilio):
            def build_request(self, sends, access):
                return HttpRequest(method="POST", url=access.base_url, headers={"X": "a\r\nB: c"})

        assert run(sent_to(an_access(1), adapter=Odd())) == NotSent("request_not_built")

    @pytest.mark.parametrize(
        ("url", "simulated"),
        [
            ("http://api.example.com", False),
            ("https://127.0.0.1:1", False),
            ("https://api.example.com", True),
            ("nonsense", True),
        ],
    )
    def test_an_address_that_the_account_may_not_use(self, url, simulated):
        assert run(sent_to(an_access(0, base_url=url, simulated=simulated))) == REFUSED

    @pytest.mark.parametrize("host", ["127.1", "2130706433"])
    def test_an_address_in_disguise(self, host):
        access = an_access(0, base_url=f"https://{host}", simulated=False)
        assert run(sent_to(access)) == REFUSED

    def test_a_public_name_that_leads_inside(self, monkeypatch):
        async def look_up(self, host, port=0, family=0):
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family}]

        monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", look_up)
        access = an_access(0, base_url="https://rebound.example.com", simulated=False)
        assert run(sent_to(access)) == REFUSED

    def test_a_transport_that_was_closed(self):
        async def send_after_the_end():
            async with Transport() as transport:
                pass
            return await transport.send(Twilio(), [a_send()], an_access(1))

        assert run(send_after_the_end()) == {"r1": NotSent("transport_closed")}

    def test_too_many_requests(self):
        assert outcome_of(always(answer(429))) == NotSent("429", throttled=True)

    @pytest.mark.parametrize(
        ("value", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), (NO_YEAR, None)]
    )
    def test_too_many_requests_with_a_delay_in_seconds(self, value, seconds):
        result = outcome_of(always(answer(429, Retry_After=value)))
        assert result == NotSent("429", throttled=True, retry_after=seconds)

    def test_too_many_requests_until_a_date(self):
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
        result = outcome_of(always(answer(429, Retry_After=date)))
        assert 90 < result.retry_after <= 100

    def test_too_many_requests_until_a_date_that_has_passed(self):
        result = outcome_of(always(answer(429, Retry_After="Sat, 21 Nov 2020 10:00:00 GMT")))
        assert result.retry_after == 0

    def test_a_throttle_code_of_the_provider_takes_the_delay_along(self):
        result = outcome_of(always(answer(400, b'{"code": 14107}', Retry_After="3")))
        assert result == NotSent("14107", throttled=True, retry_after=3.0)

    def test_a_fault_of_the_account(self):
        result = outcome_of(always(answer(401, b'{"code": 20003}')))
        assert result == NotSent("20003", fault=Fault.ACCOUNT)


class TestWhatIsUnknown:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 408, 500, 501, 502, 503, 504, 599])
    def test_a_status_that_proves_nothing(self, status):
        body = b'{"code": 21211, "sid": "SM1"}'
        assert outcome_of(always(answer(status, body))) == Unknown(str(status))

    @pytest.mark.parametrize(
        "data",
        [
            answer(201),
            answer(201, b"<html>ok</html>"),
            answer(201, b'{"sid": "SM'),
            answer(201, b'{"status": "queued"}'),
            answer(201, gzip.compress(b'{"sid": "SM1"}'), Content_Encoding="gzip"),
            answer(404, b"<html>proxy</html>"),
            b"HTTP/1.1 nonsense\r\n\r\n",
            b"\x16\x03\x01\x00\x02\x02\x28",
            b"HTTP/1.1 201 X\r\nContent-Length: -1\r\n\r\n",
        ],
        ids=[
            *("empty", "html", "cut off", "no id", "gzip", "html 404"),
            *("bad status line", "not http", "bad length"),
        ],
    )
    def test_an_answer_we_cannot_trust(self, data):
        assert isinstance(outcome_of(always(data), request_seconds=2), Unknown)

    def test_no_answer(self):
        assert outcome_of(closing) == Unknown("Disconnected")

    def test_no_answer_in_time(self):
        outcomes, peer = run(outcomes_of(silent, request_seconds=1))
        assert outcomes == [Unknown("TimeoutError")]
        assert len(peer.requests) == 1

    def test_a_connection_that_is_reset_after_the_request(self):
        async def reset(client):
            await client.read()
            client.abort()

        assert isinstance(outcome_of(reset), Unknown)

    def test_an_answer_that_breaks_off(self):
        async def half(client):
            await client.read()
            await client.write(TAKEN[:-5])

        assert outcome_of(half) == Unknown("BrokenOff")

    def test_an_answer_that_stops_in_the_middle(self):
        async def stall(client):
            await client.read()
            await client.write(TAKEN[:-5])
            await client.reader.read()

        assert outcome_of(stall, request_seconds=0.2) == Unknown("TimeoutError")

    @pytest.mark.parametrize("says_its_length", [True, False])
    def test_an_answer_that_is_too_long(self, says_its_length):
        body = b'{"sid": "SM1"}'.ljust(MAX_ANSWER_BYTES + 1)

        async def talk(client):
            await client.read()
            start = answer(201, body)
            if not says_its_length:
                start = b"HTTP/1.1 201 X\r\nConnection: close\r\n\r\n" + body
            await client.write(start)

        assert outcome_of(talk) == Unknown("AnswerTooLarge")

    def test_the_longest_answer_we_read_is_read(self):
        body = b'{"sid": "SM1"}'.ljust(MAX_ANSWER_BYTES)
        assert outcome_of(always(answer(201, body))) == Accepted("SM1")

    def test_an_adapter_that_fails_while_reading(self):
        class Failing(Twilio):
            def read_response(self, sends, response):
                raise ZeroDivisionError

        assert run(sent_through(Failing())) == {"r1": Unknown("201 ZeroDivisionError")}

    def test_a_send_that_the_adapter_forgets(self):
        class Forgetful(Twilio):
            def read_response(self, sends, response):
                return {"another": Accepted("SM1")}

        assert run(sent_through(Forgetful())) == {"r1": Unknown("201 without an outcome")}


class TestOneRequestOnly:
    def test_a_kept_connection_that_dies_after_the_third_request_sent_it_once(self):
        """As some HTTP libraries send it again, this is proved on the wire."""

        async def talk(client):
            for n in range(2):
                await client.read()
                await client.write(taken(a_send(), f"SM{n}"))
            await client.read()

        outcomes, peer = run(outcomes_of(talk, count=3))
        assert outcomes == [
            Accepted("SM0", segments=1),
            Accepted("SM1", segments=1),
            Unknown("Disconnected"),
        ]
        assert [b"ref%3Dr2" in request for request in peer.requests] == [False, False, True]
        assert peer.connections == 1

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, status):
        _, peer = run(outcomes_of(always(answer(status, Location="/elsewhere"))))
        assert len(peer.requests) == 1

    def test_even_a_look_up_is_asked_once(self):
        async def talk(client):
            await client.read()
            await client.write(answer(200, b'{"messages": []}'))
            await client.read()

        results, peer = run(looked_up_twice(talk))
        assert results == [NotListed(), NoAnswer("Disconnected")]
        assert len(peer.requests) == 2


class TestKeptConnections:
    def test_are_used_again(self):
        outcomes, peer = run(outcomes_of(always(TAKEN), count=3))
        assert outcomes == [Accepted("SM1", segments=1)] * 3
        assert peer.connections == 1

    def test_are_left_when_they_were_idle_too_long(self, monkeypatch):
        monkeypatch.setattr("providers.transport.KEEP_SECONDS", -1)
        _, peer = run(outcomes_of(always(TAKEN), count=2))
        assert peer.connections == 2

    def test_are_left_when_an_answer_came_that_nobody_asked_for(self):
        """It would be taken for the answer to the next request."""

        async def talk(client):
            await client.read()
            await client.write(taken(a_send(), "SM1"))
            if client.peer.connections == 1:
                await asyncio.sleep(0)
                await client.write(taken(a_send(), "SM_STRAY"))
            await client.read()
            await client.write(taken(a_send(), "SM2"))

        assert run(sent_twice_with_a_pause(talk)) == ["SM1", "SM1"]

    def test_are_left_after_an_answer_that_was_not_read_to_its_end(self):
        long = answer(201, b" " * 1_000_000)
        _, peer = run(outcomes_of(always(long), count=2))
        assert peer.connections == 2


class TestTheRequest:
    def test_goes_out_as_the_adapter_built_it(self):
        _, peer = run(outcomes_of(always(TAKEN)))
        head, _, body = peer.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0].startswith("POST /2010-04-01/Accounts/AC")
        assert "Authorization: Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMTp0b2tlbg==" in (
            lines
        )
        assert "Content-Type: application/x-www-form-urlencoded" in lines
        assert dict(parse_qsl(body.decode())) == {
            "To": "+12025550143",
            "From": "+15005550001",
            "Body": "hi & bye",
            "StatusCallback": "https://hooks.example.com/cb?ref=r0",
        }

    def test_may_be_json_with_headers_of_its_own(self):
        class Json(Twilio):
            def build_request(self, sends, access):
                return HttpRequest(
                    method="POST", url=access.base_url, headers={"X-Key": "k"}, json={"to": "é"}
                )

        async def request():
            async with Peer(always(TAKEN)).running() as peer, Transport() as transport:
                await transport.send(Json(), [a_send()], an_access(peer.port))
                return peer.requests[0]

        head, _, body = run(request()).partition(b"\r\n\r\n")
        assert body == b'{"to": "\\u00e9"}'
        assert b"Content-Type: application/json" in head
        assert b"X-Key: k" in head

    @given(st.dictionaries(st.sampled_from(["To", "From", "Body"]), st.text()))
    def test_a_form_is_encoded_as_the_standard_library_does(self, form):
        assert form_encoded(form) == urlencode(form).encode()


def test_a_cancelled_send_says_so():
    async def cancelled():
        async with Peer(silent).running() as peer, Transport() as transport:
            task = asyncio.create_task(transport.send(Twilio(), [a_send()], an_access(peer.port)))
            while not peer.requests:
                await asyncio.sleep(0.001)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        run(cancelled())


def test_a_provider_that_cannot_be_asked_gives_no_answer():
    class Mute(Twilio):
        def build_look_up(self, look_up, access):
            return None

    async def ask():
        async with Transport() as transport:
            return await transport.look_up(Mute(), a_look_up(), an_access(1))

    assert run(ask()) == NoAnswer("look_up_not_offered")


def a_look_up():
    return LookUp(
        ref="r1",
        to_e164="+12025550143",
        from_value="+15005550001",
        text="hi",
        intended_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


async def looked_up_twice(talk):
    async with Peer(talk).running() as peer, Transport() as transport:
        access = an_access(peer.port)
        results = [await transport.look_up(Twilio(), a_look_up(), access) for _ in range(2)]
        return results, peer


async def sent_twice_with_a_pause(talk):
    async with Peer(talk).running() as peer, Transport() as transport:
        refs = []
        for _ in range(2):
            results = await transport.send(Twilio(), [a_send()], an_access(peer.port))
            refs.append(results["r1"].provider_ref)
            await asyncio.sleep(0.1)
        return refs
