"""Where requests may go: real accounts to public addresses over TLS, simulated to this machine."""

from __future__ import annotations

import socket
from collections.abc import Set
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult
from yarl import URL

THIS_MACHINE = "localhost"
WEB, MAIL = frozenset({"https", "http"}), frozenset({"smtps", "smtp"})
TLS_FIRST = 465  # RFC 8314: there TLS comes before the first word
SUBMISSION = 587  # RFC 6409
_NAT64 = IPv6Network("64:ff9b::/96")  # carries an IPv4 address in its last four bytes


class AddressRefused(OSError):
    """An address that this account may not use."""


class GuardedResolver(ThreadedResolver):
    """Resolves names to public addresses only, and `localhost` to this machine only."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        may_use = is_loopback if host == THIS_MACHINE else is_public
        usable = [result for result in found if may_use(result["host"])]
        if not usable:
            raise AddressRefused("the name leads to no address that may be used")
        return usable


async def resolved(resolver: GuardedResolver, host: str, port: int) -> list[ResolveResult]:
    """Where a host of an allowed URL is. Raises AddressRefused, or OSError for an unknown name."""
    ip = _inner(host)
    if ip is None:
        return await resolver.resolve(host, port, socket.AF_UNSPEC)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return [ResolveResult(hostname=host, host=host, port=port, family=family, proto=0, flags=0)]


@lru_cache(maxsize=4096)
def allowed(url: str, *, simulated: bool) -> URL:
    """The parsed URL. Raises AddressRefused; what a name resolves to is checked by the resolver."""
    try:
        parsed = URL(url)
    except ValueError:
        raise AddressRefused("not a URL") from None
    if parsed.user is not None or parsed.password is not None:
        raise AddressRefused("no user or password may stand in the address")
    why_not = _why_not_here(parsed, WEB) if simulated else _why_not_public(parsed, {"https"})
    if why_not:
        raise AddressRefused(why_not)
    return parsed


@lru_cache(maxsize=4096)
def allowed_for_mail(url: str, *, simulated: bool) -> URL:
    """As `allowed`, of a mail server: smtp://host:587, which must offer TLS, or smtps://host:465.

    Raises AddressRefused.
    """
    try:
        parsed = URL(url)
    except ValueError:
        raise AddressRefused("not an address like smtp://host:587") from None
    if parsed.scheme not in MAIL:
        raise AddressRefused("it must begin with smtp:// or smtps://")
    if parsed.user is not None or parsed.password is not None:
        raise AddressRefused("no user or password may stand in the address")
    if parsed.raw_path_qs not in {"", "/"} or parsed.fragment:
        raise AddressRefused("nothing may follow the port")
    if parsed.scheme == "smtp" and parsed.port == TLS_FIRST:
        raise AddressRefused(f"port {TLS_FIRST} begins with TLS, so it must be smtps://")
    why_not = _why_not_here(parsed, MAIL) if simulated else _why_not_public(parsed, MAIL)
    if why_not:
        raise AddressRefused(why_not)
    return parsed


def judged(url: str, *, simulated: bool) -> URL:
    """By `allowed`, or by `allowed_for_mail` where its scheme is of mail."""
    is_mail = url.partition(":")[0].lower() in MAIL
    return (allowed_for_mail if is_mail else allowed)(url, simulated=simulated)


def port_of(url: URL) -> int:
    """The port it names, else the usual one."""
    return url.port or (TLS_FIRST if url.scheme == "smtps" else SUBMISSION)


def is_public(address: str) -> bool:
    ip = _inner(address)
    return ip is not None and ip.is_global and not ip.is_multicast


def is_loopback(address: str) -> bool:
    ip = _inner(address)
    return ip is not None and ip.is_loopback


def _why_not_here(url: URL, schemes: Set[str]) -> str:
    if url.scheme not in schemes:
        return "not http"
    if url.host == THIS_MACHINE or is_loopback(url.host or ""):
        return ""
    return "a simulated account may reach this machine only"


def _why_not_public(url: URL, schemes: Set[str]) -> str:
    if url.scheme not in schemes:
        return "not https"
    host = url.host or ""
    if not host or host == THIS_MACHINE:
        return "not a public address"
    if _inner(host) is not None and not is_public(host):
        return "not a public address"
    return ""


def _inner(address: str) -> IPv4Address | IPv6Address | None:
    """The address, or the IPv4 address inside it; None for a name."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
