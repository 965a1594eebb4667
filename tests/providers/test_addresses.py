from __future__ import annotations

import pytest

from providers.addresses import AddressRefused, GuardedResolver, allowed
from tests.providers.peers import run


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com/v1", "https://api.example.com:8443/", "https://93.184.215.14/"],
)
def test_a_real_account_may_go_to_a_public_https_address(url):
    assert str(allowed(url, simulated=False)) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "ftp://api.example.com/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:7f00:1::]/",
        "https://user:secret@api.example.com/",
        "https:///nowhere",
        "/v1/messages",
        "https://[broken",
        "",
    ],
)
def test_a_real_account_is_refused_every_other_address(url):
    with pytest.raises(AddressRefused):
        allowed(url, simulated=False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8200/", "http://localhost:8200/", "http://[::1]:8200/"]
)
def test_a_simulated_account_may_go_to_this_machine(url):
    assert str(allowed(url, simulated=True)) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://api.twilio.com/",
        "http://93.184.215.14/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://127.0.0.1@api.example.com/",
        "file:///etc/passwd",
    ],
)
def test_a_simulated_account_is_refused_every_other_address(url):
    with pytest.raises(AddressRefused):
        allowed(url, simulated=True)


def resolved(host, addresses, monkeypatch):
    """What the resolver makes of a name that leads to these addresses."""

    async def look_up(self, host, port=0, family=0):
        return [{"hostname": host, "host": address, "port": port} for address in addresses]

    async def resolve():
        return [found["host"] for found in await GuardedResolver().resolve(host, 443)]

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", look_up)
    return run(resolve())


class TestGuardedResolver:
    def test_drops_the_private_ones_among_the_addresses_of_a_name(self, monkeypatch):
        found = ["10.0.0.1", "93.184.215.14", "::1"]
        assert resolved("api.example.com", found, monkeypatch) == ["93.184.215.14"]

    def test_refuses_a_name_that_leads_inside_only(self, monkeypatch):
        with pytest.raises(AddressRefused):
            resolved("rebound.example.com", ["127.0.0.1", "fe80::1%eth0"], monkeypatch)

    def test_takes_localhost_for_this_machine_only(self, monkeypatch):
        found = ["93.184.215.14", "127.0.0.1"]
        assert resolved("localhost", found, monkeypatch) == ["127.0.0.1"]
