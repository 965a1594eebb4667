"""What a definition reads of answers and callbacks: paths, rules from the top, words, times."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from providers.base import Accepted, ErrorClass, NotSent, Rejected, Status, Unknown
from providers.declared_paths import Unreadable, read
from providers.declared_webhooks import moment
from tests.providers.declaring import a_callback, definition_of, outcome_of, speaking

BOMB = (
    b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(
        b'<!ENTITY a%d "%b">' % (n, b"&a%d;" % (n - 1) * 10 if n > 1 else b"&a;" * 10)
        for n in range(1, 9)
    )
    + b"]><a>&a8;</a>"
)


class TestAPath:
    JSON = {"a": {"b": [{"c": 1}, {"c": "two"}]}, "yes": True, "none": None, "text": "t"}
    XML = b"<a x='1'><b>one <i>and</i> two</b><b>other</b><n:c xmlns:n='urn:n' n:y='2'>ns</n:c></a>"

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("text", "t"),
            ("a.b.0.c", "1"),
            ("a.b.1.c", "two"),
            ("yes", "true"),
            ("none", None),
            ("a.b.7.c", None),
            ("a.b.x", None),
            ("a", None),
            ("text.more", None),
            ("a.b.-1.c", None),
        ],
    )
    def test_leads_into_json(self, path, value):
        assert read(json.dumps(self.JSON).encode(), "json").get(path) == value

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("/a/@x", "1"),
            ("/a/b", "one and two"),
            ("/a/c", "ns"),
            ("/a/@z", None),
            ("/a/d", None),
            ("/b", None),
        ],
    )
    def test_leads_into_xml(self, path, value):
        assert read(self.XML, "xml").get(path) == value

    def test_leads_to_the_field_of_a_form(self):
        found = read(b"a.b=x+y&c=%C3%A9&d", "form")
        assert [found.get(name) for name in ("a.b", "c", "d", "e")] == ["x y", "é", "", None]

    @pytest.mark.parametrize("form", ["json", "xml"])
    @pytest.mark.parametrize("body", [b"", b"<", b"{", b"\xff\xfe", b"a=b"])
    def test_leads_nowhere_in_what_is_not_in_the_format(self, form, body):
        with pytest.raises(Unreadable):
            read(body, form)

    @pytest.mark.parametrize(
        "body",
        [
            BOMB,
            b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
            b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>',
            '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>'.encode("utf-16"),
            b"<!DOCTYPE a><a/>",
            b"<a>&e;</a>",
        ],
        ids=["a bomb", "a DTD", "a file", "UTF-16", "bare", "unknown"],
    )
    def test_leads_into_no_xml_that_defines_entities(self, body):
        with pytest.raises(Unreadable):
            read(body, "xml")


def ruled(errors, **changes):
    plain = definition_of("example")
    plain |= {"errors": errors, "error_code": "code", **changes}
    return speaking(plain)


RECIPIENT = {"path": "code", "equals": ["1", "2"], "class": "permanent_recipient"}
ANY_1 = {"path": "code", "regex": "1", "class": "permanent_content"}


class TestRules:
    def test_are_tried_from_the_top(self):
        body = {"code": 1}
        first = Rejected(ErrorClass.PERMANENT_RECIPIENT, "1")
        assert outcome_of(ruled([RECIPIENT, ANY_1]), 400, body) == first
        other = Rejected(ErrorClass.PERMANENT_CONTENT, "1")
        assert outcome_of(ruled([ANY_1, RECIPIENT]), 400, body) == other

    def test_that_do_not_fit_leave_it_unknown(self):
        assert outcome_of(ruled([RECIPIENT]), 400, {"code": "7"}) == Unknown("7")

    @pytest.mark.parametrize("status", [500, 502, 599])
    def test_never_decide_a_server_error(self, status):
        found = ruled([{"path": "code", "regex": ".", "class": "permanent_recipient"}])
        assert isinstance(outcome_of(found, status, {"code": "1", "id": "m1"}), Unknown)

    def test_may_ask_for_a_status_and_a_word(self):
        found = ruled([{**RECIPIENT, "http_status": [409, 410]}])
        assert isinstance(outcome_of(found, 410, {"code": "1"}), Rejected)
        assert isinstance(outcome_of(found, 400, {"code": "1"}), Unknown)

    @pytest.mark.parametrize(
        ("said", "seconds"), [({"code": "9", "wait": 3}, 3.0), ({"code": "9"}, None)]
    )
    def test_that_throttle_may_say_how_long(self, said, seconds):
        rule = {"path": "code", "equals": "9", "class": "throttled", "retry_after_path": "wait"}
        wanted = NotSent("9", throttled=True, retry_after=seconds)
        assert outcome_of(ruled([rule]), 400, said) == wanted

    def test_may_say_that_the_carrier_blocks(self):
        rule = {**ANY_1, "carrier_blocked": True}
        assert outcome_of(ruled([rule]), 400, {"code": "1"}).carrier_blocked

    @pytest.mark.parametrize(("opted_out", "is_out"), [("yes", True), ("maybe", False)])
    def test_opt_out_who_certainly_has(self, opted_out, is_out):
        found = ruled([{**RECIPIENT, "opted_out": opted_out}])
        assert outcome_of(found, 400, {"code": "1"}).opted_out is is_out

    def test_keep_a_code_short(self):
        outcome = outcome_of(ruled([ANY_1]), 400, {"code": "1" * 500})
        assert len(outcome.code) == 60


class TestASuccess:
    def found(self, **success):
        return ruled([ANY_1], success={"format": "json", "id": ["id"], **success})

    def test_says_what_is_required(self):
        found = self.found(require={"ok": "true"})
        assert outcome_of(found, 200, {"ok": True, "id": "m1"}) == Accepted("m1")
        assert isinstance(outcome_of(found, 200, {"ok": False, "id": "m1"}), Unknown)

    def test_that_says_what_it_must_not_is_judged_by_the_rules(self):
        found = self.found(unless={"code": "."})
        outcome = outcome_of(found, 200, {"code": "1", "id": "m1"})
        assert outcome == Rejected(ErrorClass.PERMANENT_CONTENT, "1")

    def test_has_one_of_its_statuses(self):
        found = self.found(status_in=[202])
        assert isinstance(outcome_of(found, 200, {"id": "m1"}), Unknown)

    def test_may_have_our_reference_for_an_id(self):
        assert outcome_of(self.found(id_fallback="ref"), 200, {}) == Accepted("r1")

    def test_in_another_format_is_unknown_all_the_same(self):
        assert isinstance(outcome_of(self.found(id_fallback="ref"), 200, "<html>"), Unknown)


class TestACallback:
    @pytest.fixture
    def plain(self):
        return definition_of("example")

    def test_may_come_by_query(self, plain):
        plain["webhooks"]["status"] |= {"method": "GET", "format": "query"}
        query = {"event": "status", "id": "m1", "reference": "r1", "status": "sent"}
        report = speaking(plain).read_callback(a_callback(method="GET", query=query))
        assert (report.ref, report.status) == ("r1", Status.SENT)

    def test_by_another_method_is_of_no_kind(self, plain):
        body = {"event": "status", "id": "m1", "status": "sent"}
        assert speaking(plain).read_callback(a_callback(body, method="GET")) is None

    def test_of_one_kind_in_another_format_is_read_by_that(self, plain):
        plain["webhooks"]["inbound"] |= {"format": "form", "when": {"event": "inbound"}}
        form = {"event": "inbound", "id": "m1", "from": "+12025550143", "text": "hi"}
        found = speaking(plain).read_callback(a_callback(b"x", form=form))
        assert found.text == "hi"

    def test_leads_to_the_message_by_the_address_it_came_to(self, plain):
        del plain["webhooks"]["status"]["ref"]
        body = {"event": "status", "id": "m1", "status": "sent"}
        found = speaking(plain).read_callback(a_callback(body, query={"ref": "r7"}))
        assert (found.ref, speaking(plain).names_our_ref) == ("r7", True)

    def test_does_not_name_our_reference_where_nothing_carries_it(self, plain):
        del plain["webhooks"]["status"]["ref"], plain["request"]["body"]["status_url"]
        found = speaking(plain)
        assert (found.names_our_ref, found.asks_for_reports) == (False, False)

    def test_has_a_key_of_its_own_making(self, plain):
        plain["webhooks"]["status"]["dedupe_key"] = "{id}/{status}"
        body = {"event": "status", "id": "m1", "status": "sent"}
        assert speaking(plain).read_callback(a_callback(body)).dedupe_key == "m1/sent"

    def test_has_a_key_that_is_as_long_as_it_is_kept(self, plain):
        body = {"event": "status", "id": "m" * 500, "status": "sent"}
        assert len(speaking(plain).read_callback(a_callback(body)).dedupe_key) == 64

    def test_of_a_text_without_an_id_is_known_by_what_the_definition_names(self, plain):
        plain["webhooks"]["inbound"] |= {"dedupe_key": "{from}@{time}", "time": "at"}
        body = {"event": "inbound", "from": "+12025550143", "text": "hi", "at": "5"}
        found = speaking(plain).read_callback(a_callback(body))
        assert found.provider_ref == found.dedupe_key == "+12025550143@5"


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("1796032800", datetime(2026, 11, 30, 10, tzinfo=UTC)),
        ("1796032800000", datetime(2026, 11, 30, 10, tzinfo=UTC)),
        ("2026-11-30T10:00:00Z", datetime(2026, 11, 30, 10, tzinfo=UTC)),
        ("2026-11-30T10:00:00", None),
        ("9" * 30, None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_time_is_read_where_it_has_a_zone(said, at):
    assert moment(said) == at


class TestLetters:
    @pytest.mark.parametrize(
        ("rules", "text", "carried"),
        [
            ({}, "é 漢", "é 漢"),
            ({"alphabet": "gsm7"}, "é ñ €", "é ñ €"),
            ({"alphabet": "gsm7"}, "漢", None),
            ({"alphabet": "ascii"}, "é", None),
            ({"alphabet": "ascii", "replacements": {"é": "e"}}, "café", "cafe"),
            ({"characters": "ab"}, "abba", "abba"),
            ({"characters": "ab"}, "abc", None),
            ({"replacements": {"a": "b", "b": "c", "ab": "x"}}, "abba", "xcb"),
        ],
    )
    def test_are_replaced_once_and_then_judged(self, rules, text, carried):
        plain = {**definition_of("example"), "text": rules}
        assert speaking(plain).fit(text) == carried
