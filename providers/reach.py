"""Whether anything listens at the address of an account, tried for two seconds at most.

It connects and says nothing. Who asks has no transaction open, and is no worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from enum import Enum, auto

from providers.addresses import AddressRefused, GuardedResolver, judged, port_of, resolved

SECONDS = 2.0


class Reach(Enum):
    ANSWERS = auto()
    NO_SUCH_NAME = auto()
    REFUSES = auto()  # nothing listens at that port
    NOT_ALLOWED = auto()  # the name leads to an address that this account may not use
    UNSURE = auto()  # it is slow, or our own network is at fault


def reach(url: str, *, simulated: bool) -> Reach:
    """Try to connect; after two seconds, whatever they went into, it is UNSURE. Never raises."""
    found = [Reach.UNSURE]

    def try_it() -> None:
        with contextlib.suppress(Exception):  # what it does not know is UNSURE
            found[0] = asyncio.run(_reach(url, simulated=simulated))

    # A name that is being looked up cannot be called off: its thread is left behind.
    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return found[0]


async def _reach(url: str, *, simulated: bool) -> Reach:
    parsed = judged(url, simulated=simulated)
    host, port = parsed.host or "", port_of(parsed)
    try:
        addresses = await resolved(GuardedResolver(), host, port)
    except AddressRefused:
        return Reach.NOT_ALLOWED
    except socket.gaierror as error:
        is_none = error.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
        return Reach.NO_SUCH_NAME if is_none else Reach.UNSURE
    tries = [await _connects(address["host"], port) for address in addresses]
    if Reach.ANSWERS in tries:
        return Reach.ANSWERS
    return Reach.REFUSES if set(tries) == {Reach.REFUSES} else Reach.UNSURE


async def _connects(host: str, port: int) -> Reach:
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Reach.REFUSES
    except OSError:  # TimeoutError, too
        return Reach.UNSURE
    writer.close()
    return Reach.ANSWERS
