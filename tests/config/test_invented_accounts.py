from __future__ import annotations

import pytest

from config import invented_accounts as invented
from config.invented_accounts import INVENTIONS
from providers.base import Accepted, Access, SenderKind
from providers.declared import GENERIC
from providers.registry import ADAPTERS, adapter
from providers.signatures import SHORTEST_JWT_SECRET
from providers.simulator import HOST, WIRES
from tests.providers.mailing import a_mail, in_mail_scene
from tests.providers.peers import a_send

KINDS = list(ADAPTERS)


def access_of(kind: str, port: int = 9, mail_port: int = 25) -> Access:
    return Access(
        kind=kind,
        base_url=invented.base_url(kind, f"http://{HOST}:{port}", f"smtp://{HOST}:{mail_port}"),
        secrets=invented.credentials(kind, 1),
        simulated=True,
        definition=invented.definition(kind),
    )


def speaks(kind: str):
    return adapter(kind, invented.definition(kind))


def test_every_kind_of_provider_has_a_line():
    assert set(INVENTIONS) == set(ADAPTERS)


def test_every_kind_is_simulated():
    assert {wire.name for wire in WIRES} == set(ADAPTERS)


@pytest.mark.parametrize("kind", KINDS)
class TestEachKind:
    def test_has_all_credentials_that_an_account_must_fill_in_and_no_others(self, kind):
        made, asked = set(invented.credentials(kind, 1)), speaks(kind)
        assert set(asked.credentials) <= made
        assert made <= {*asked.credentials, *asked.optional_credentials}

    def test_has_nothing_that_a_form_would_refuse(self, kind):
        assert not speaks(kind).problems(access_of(kind))

    def test_has_the_same_for_the_same_seed_and_others_for_another(self, kind):
        made = [invented.credentials(kind, seed) for seed in (1, 1, 2)]
        assert made[0] == made[1]
        name = INVENTIONS[kind].name
        assert made[0][name] != made[2][name]

    def test_is_called_by_its_provider_as_the_credentials_say(self, kind):
        secrets = invented.credentials(kind, 1)
        known = invented.known(kind, secrets)
        assert known.name in secrets.values()
        wire = next(wire for wire in WIRES if wire.name == kind)
        assert bool(known.token) or not wire.signs_callbacks
        assert not wire.account_prefixes or known.name.startswith(wire.account_prefixes)

    def test_is_taken_from_its_sender_by_its_simulated_provider(self, kind, tmp_path):
        async def act(scene):
            sender, value = invented.sender(kind, 7)
            make = a_mail if invented.carries_mail(kind) else a_send
            send = make(from_value=value, from_kind=sender, request_ref="q1")
            access = access_of(kind, scene.on.port, scene.mail_port)
            outcomes = await scene.on.transport.send(speaks(kind), [send], access)
            return outcomes[send.ref]

        outcome = in_mail_scene(tmp_path, act)
        assert isinstance(outcome, Accepted)


def test_only_a_provider_of_ones_own_is_defined_by_the_account():
    assert [kind for kind in KINDS if invented.definition(kind)] == [GENERIC]


def test_email_is_the_only_kind_that_no_text_can_go_by():
    assert set(KINDS) - set(invented.TEXTS) == {"smtp"}
    assert invented.sender("smtp", 3) == (SenderKind.EMAIL, "jobs3@mail.example.com")


def test_email_has_no_address_without_a_mail_server():
    with pytest.raises(ValueError, match="smtp needs"):
        invented.base_url("smtp", "http://127.0.0.1:9")


def test_a_batch_leaves_from_a_short_code_and_a_keyword_is_a_word():
    assert invented.sender("sinch", 3) == (SenderKind.SHORT_CODE, "550003")
    assert invented.sender("slooce", 3) == (SenderKind.SHORT_CODE, "JOBS3")
    assert invented.sender("twilio", 3) == (SenderKind.LONG_CODE, "+15555550003")


def test_a_secret_for_tokens_is_long_enough_for_them():
    secret = invented.credentials("vonage", 1)["signature_secret"]
    assert len(secret) >= SHORTEST_JWT_SECRET


def test_a_kind_without_a_line_is_a_key_error():
    with pytest.raises(KeyError):
        invented.credentials("carrier_pigeon", 1)
