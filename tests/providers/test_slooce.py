"""The preset "slooce". Bodies are in the shapes that public integrations show (a Mautic plugin, a
C# package and two applications; reference, section 8); the numbers in them are invented.
"""

from __future__ import annotations

import pytest

from delivery.reports import is_undeliverable
from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    InboundMessage,
    NotSent,
    Rejected,
    Status,
    Thanks,
    Unknown,
)
from tests.providers.declaring import (
    a_callback,
    a_look_up,
    an_access,
    definition_of,
    outcome_of,
    preset,
    request_of,
    speaking,
)

SLOOCE = preset("slooce")
ACCESS = an_access(
    "slooce", "https://tenant.cloud.sloocetech.net", partner_id="acme1", partner_password="p & w"
)
RECIPIENT = ErrorClass.PERMANENT_RECIPIENT
NOT_STARTED = Rejected(RECIPIENT, "invalid mt request", only_here=True)


def said(result, response_id="r1"):
    return f'<response id="{response_id}" result="{result}"/>'


class TestARequest:
    def test_is_whole(self):
        request = request_of(SLOOCE, ACCESS, from_value="ACME", text="Hi Ann")
        assert request.method == "POST"
        assert request.url == (
            "https://tenant.cloud.sloocetech.net/slooce_apps/spi/acme1/12025550143/ACME/messages/mt"
        )
        assert request.headers == {"Content-Type": "application/xml", "Accept": "application/xml"}
        assert request.auth is request.form is request.json is None
        assert request.body == (
            b'<?xml version="1.0" encoding="ISO-8859-1"?><message id="r1">'
            b"<partnerpassword>p &amp; w</partnerpassword><content>Hi Ann</content></message>"
        )

    def test_writes_a_text_as_text_whatever_is_in_it(self):
        text = "</content><partnerpassword>x & 'y' \"z\" {ref} ]]>\n<!-- >"
        body = request_of(SLOOCE, ACCESS, from_value="ACME", text=text).body
        assert body.count(b"<partnerpassword>") == 1
        assert b"&lt;/content&gt;&lt;partnerpassword&gt;x &amp; 'y'" in body
        assert b"{ref} ]]&gt;\n&lt;!-- &gt;</content>" in body

    def test_keeps_a_keyword_within_its_part_of_the_path(self):
        url = request_of(SLOOCE, ACCESS, from_value="A/../B?x#y").url
        assert url.endswith("/12025550143/A%2F..%2FB%3Fx%23y/messages/mt")

    @pytest.mark.parametrize("keyword", ["", ".", ".."])
    def test_is_none_where_a_keyword_would_lead_elsewhere(self, keyword):
        with pytest.raises(ValueError):
            request_of(SLOOCE, ACCESS, from_value=keyword)

    def test_is_none_without_its_secrets(self):
        with pytest.raises(KeyError):
            request_of(SLOOCE, an_access("slooce", partner_id="acme1"), from_value="ACME")


class TestAnAnswer:
    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (202, said("ok", "77-1"), Accepted("77-1")),
            (200, said("ok"), Accepted("r1")),
            (202, '<response result="ok"/>', Accepted("r1")),
            (403, "", Rejected(RECIPIENT, "403", only_here=True)),
            (403, said("invalid mt request"), NOT_STARTED),
            (400, said("invalid mt request"), NOT_STARTED),
            (400, said("unsupported operator"), Rejected(RECIPIENT, "unsupported operator")),
            (400, said("unknown operator"), Rejected(RECIPIENT, "unknown operator")),
            (400, said("invalid phonenumber"), Rejected(RECIPIENT, "invalid phonenumber")),
            (
                400,
                said("empty mt request"),
                Rejected(ErrorClass.PERMANENT_CONTENT, "empty mt request"),
            ),
            (400, said("invalid keyword"), NotSent("invalid keyword", fault=Fault.SENDER)),
            (
                400,
                said("service deactivated"),
                NotSent("service deactivated", fault=Fault.ACCOUNT),
            ),
            (401, "no", NotSent("401", fault=Fault.ACCOUNT)),
            # A refusal may come with a 2xx as well: its word decides.
            (202, said("invalid phonenumber"), Rejected(RECIPIENT, "invalid phonenumber")),
        ],
    )
    def test_that_is_clear_decides(self, status, body, outcome):
        assert outcome_of(SLOOCE, status, body) == outcome

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (202, ""),
            (202, "<response id="),
            (202, '<!DOCTYPE r [<!ENTITY ok "ok">]><response result="ok"/>'),
            (202, said("unknown error")),
            (202, said("OK?")),
            (204, said("ok")),
            (400, ""),
            (404, "<html/>"),
            (400, said("unknown error")),
            (500, said("ok")),
            (503, said("invalid phonenumber")),
        ],
    )
    def test_that_cannot_be_trusted_is_unknown(self, status, body):
        assert isinstance(outcome_of(SLOOCE, status, body), Unknown)

    def test_opts_nobody_out_on_a_guess_and_takes_no_number_for_dead(self):
        outcome = outcome_of(SLOOCE, 403, said("invalid mt request"))
        assert not outcome.opted_out
        assert not is_undeliverable(outcome)


class TestAText:
    @pytest.mark.parametrize(
        ("text", "carried"),
        [
            ("Hi Ann, it's 5:30 & on!\nBye", "Hi Ann, it's 5:30 & on!\nBye"),
            ("It\u2019s \u201chere\u201d \u2013 now\u2026", 'It\'s "here" - now...'),
            ("a\u00a0b\tc\r\nd", "a b c\nd"),
            ("@$_/.,\"():;-=+*&%#!?<>'", "@$_/.,\"():;-=+*&%#!?<>'"),
        ],
    )
    def test_goes_as_it_can_be_carried(self, text, carried):
        assert SLOOCE.fit(text) == carried

    @pytest.mark.parametrize("text", ["José", "[x]", "{x}", "~", "^", "|", "\\", "€", "\x07", "🙂"])
    def test_with_a_letter_that_carriers_reject_does_not_go(self, text):
        assert SLOOCE.fit(text) is None

    def test_is_160_characters_at_most(self):
        assert SLOOCE.max_chars == 160


def message(inner, message_id="1700000000000-1700000000001"):
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>'
    start = f'{head}<message id="{message_id}">'
    return f"{start}<user>12025550143</user><keyword>ACME</keyword>{inner}</message>".encode(
        "latin-1"
    )


class TestACallback:
    def read(self, inner, **options):
        return SLOOCE.read_callback(a_callback(message(inner, **options)))

    def test_brings_a_text(self):
        assert self.read("<content>Yes &amp; caf\u00e9</content>") == InboundMessage(
            provider_ref="1700000000000-1700000000001",
            from_e164="+12025550143",
            to_value="ACME",
            text="Yes & caf\u00e9",
            dedupe_key="1700000000000-1700000000001",
        )

    @pytest.mark.parametrize(
        ("command", "text", "opts_out"),
        [("Q", "STOP", True), ("H", "HELP", False), ("Z", "Z", False)],
    )
    def test_brings_a_command(self, command, text, opts_out):
        found = self.read(f"<command>{command}</command>")
        assert (found.text, found.keyword, found.is_provider_optout) == (text, text, opts_out)

    def test_that_somebody_joined_is_not_used(self):
        assert self.read("") is None

    def test_without_an_id_is_a_text_of_its_own_each_time(self):
        """A second STOP must not be taken for the first one."""
        refs = {self.read("<command>Q</command>", message_id="").provider_ref for _ in range(3)}
        assert len(refs) == 3

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<message",
            b'{"user": "1"}',
            b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
            b'<message id="1"><user>12025550143</user><content>&x;</content></message>',
        ],
        ids=["empty", "torn", "JSON", "an entity"],
    )
    def test_that_is_no_plain_xml_cannot_be_read(self, body):
        with pytest.raises(ValueError):
            SLOOCE.read_callback(a_callback(body))

    def test_proves_itself_by_the_key_in_its_path_only(self):
        assert SLOOCE.needs_key(ACCESS)
        assert SLOOCE.is_genuine(a_callback(message("")), ACCESS)

    def test_is_thanked_with_nothing(self):
        assert SLOOCE.thanks == Thanks(status=200, body="")


def test_a_prior_start_is_told_with_what_is_assumed():
    assert "must have joined the keyword" in SLOOCE.evidence


def test_nobody_can_be_asked():
    assert SLOOCE.build_look_up(a_look_up(), ACCESS) is None


def test_an_assumed_report_may_be_configured():
    plain = definition_of("slooce")
    plain["webhooks"]["status"] = {
        "format": "xml",
        "ref": "/report/@id",
        "status": "/report/@status",
        "status_map": {"D": "delivered"},
    }
    report = speaking(plain).read_callback(a_callback(b'<report id="r1" status="D"/>'))
    assert (report.ref, report.status) == ("r1", Status.DELIVERED)
