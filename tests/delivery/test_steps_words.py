from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from delivery import steps
from delivery.states import Reason, ReplyKind
from delivery.steps import Refuse
from tests.delivery.stepping import (
    DAY,
    MINUTE,
    SLOT,
    a_draft,
    a_person,
    a_reply,
    a_test,
    facts,
    sent,
    with_brand,
    with_person,
    with_single,
    with_slot,
)


class TestFillInText:
    def words(self, text, **values):
        draft = a_draft(values=values) if values else a_draft()
        return steps.fill_in_text(draft, with_slot(template=text))

    def test_fills_in_names_and_leaves_a_mark_for_the_link(self):
        hashed = hashlib.blake2b(b"Hi Ada, see", digest_size=8).hexdigest()
        filled = a_draft(text=f"Hi Ada, see {steps.LINK_MARK}", words_hash=hashed)
        assert steps.fill_in_text(a_draft(), facts()) == filled

    def test_knows_the_brands_name(self):
        assert self.words("From {brand}").text == "From Acme"

    def test_falls_back_where_a_value_is_missing(self):
        assert self.words("Hi {first_name|there}", first_name="").text == "Hi there"

    @pytest.mark.parametrize(
        "text",
        ["Come today {link}", "{link} Come today", "Come today. Reply STOP to opt out"],
        ids=["link-last", "link-first", "opt-out-line"],
    )
    def test_hashes_the_words_without_the_link_and_the_opt_out_line(self, text):
        bare = "Come today." if "." in text else "Come today"
        assert self.words(text).words_hash == self.words(bare).words_hash

    def test_hashes_other_words_otherwise(self):
        assert self.words("Come today").words_hash != self.words("Come tomorrow").words_hash

    @pytest.mark.parametrize(
        ("text", "destination"),
        [
            pytest.param("Hi {last_name}", "https://jobs.example.com/", id="missing-value"),
            pytest.param("  ", "https://jobs.example.com/", id="no-words"),
            pytest.param("See {link}", "", id="link-to-nowhere"),
        ],
    )
    def test_refuses_what_cannot_be_filled_in(self, text, destination):
        found = with_slot(template=text, destination=destination)
        assert steps.fill_in_text(a_draft(), found) == Refuse(Reason.CANNOT_RENDER)

    def test_reads_no_placeholder_in_a_persons_name(self):
        assert self.words("Hi {first_name}", first_name="{link}").text == "Hi {link}"


class TestFillInSingle:
    def test_says_its_own_text_with_its_own_values(self):
        filled = steps.fill_in_single(a_test(), with_single())
        assert filled.text == f"Acme for Kim: {steps.LINK_MARK}"
        assert filled.words_hash == steps.hash_of_words("Acme for Kim:")

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"values": {}}, id="missing-value"),
            pytest.param({"template": " "}, id="no-words"),
            pytest.param({"destination": ""}, id="link-to-nowhere"),
        ],
    )
    def test_refuses_what_cannot_be_filled_in(self, changes):
        found = with_single(**changes)
        assert steps.fill_in_single(a_test(), found) == Refuse(Reason.CANNOT_RENDER)


class TestFillInReply:
    def words(self, kind, **texts):
        found = with_brand(replies={"stop": "Bye", "help": "Ask", "join": "Hi", **texts})
        return steps.fill_in_reply(a_reply(kind), found)

    @pytest.mark.parametrize(
        ("kind", "text"),
        [(ReplyKind.STOP, "Bye"), (ReplyKind.HELP, "Ask"), (ReplyKind.JOIN, "Hi")],
        ids=list(ReplyKind),
    )
    def test_takes_the_brands_words_for_its_kind_and_makes_no_link(self, kind, text):
        assert self.words(kind) == a_reply(kind, text=text, code="")

    def test_names_the_brand(self):
        assert self.words(ReplyKind.STOP, stop="{brand}: no more.").text == "Acme: no more."

    @pytest.mark.parametrize(
        "text", ["", "  ", "See {link}", "Hi {first_name}"], ids=["no", "blank", "link", "name"]
    )
    def test_refuses_what_cannot_be_filled_in(self, text):
        assert self.words(ReplyKind.HELP, help=text) == Refuse(Reason.CANNOT_RENDER)

    def test_remembers_no_words(self):
        """The same answer may be given again on the same day."""
        assert self.words(ReplyKind.STOP).words_hash == ""


class TestRefuseSameWords:
    draft = a_draft(words_hash="aa")
    again = [sent(6 * timedelta(hours=1), words="aa", on="2026-06-03")]

    def test_refuses_the_same_words_on_the_same_slot_date(self):
        found = with_person(recent=self.again)
        assert steps.refuse_same_words(self.draft, found) == Refuse(Reason.SAME_WORDS)

    @pytest.mark.parametrize(
        "recent",
        [
            pytest.param([sent(DAY, words="aa", on="2026-06-02")], id="another-day"),
            pytest.param([sent(MINUTE, words="bb", on="2026-06-03")], id="other-words"),
            pytest.param([sent(MINUTE, 5, "aa", "2026-06-03")], id="its-own-entry"),
            pytest.param([sent(MINUTE, 9, "aa", "")], id="not-of-a-slot"),
        ],
    )
    def test_lets_pass(self, recent):
        assert steps.refuse_same_words(self.draft, with_person(recent=recent)) == self.draft

    def test_lets_pass_what_repeats(self):
        found = facts(
            slots={3: replace(SLOT, repeats_words=True)},
            persons={4: a_person(recent=self.again)},
        )
        assert steps.refuse_same_words(self.draft, found) == self.draft


class TestAddLink:
    def test_puts_the_personal_link_in_place(self):
        draft = a_draft(text=f"See {steps.LINK_MARK}!")
        linked = draft._replace(text="See https://go.example.com/abcdefgh!")
        assert steps.add_link(draft, facts()) == linked

    def test_speaks_the_scheme_it_is_told(self):
        draft = a_draft(text=f"See {steps.LINK_MARK}")
        linked = draft._replace(text="See http://go.example.com/abcdefgh")
        assert steps.add_link(draft, facts(link_scheme="http")) == linked

    def test_makes_no_code_where_there_is_no_link(self):
        assert steps.add_link(a_draft(text="Hi"), facts()) == a_draft(text="Hi", code="")


class TestAddOptOutLine:
    def test_adds_the_brands_line(self):
        added = a_draft(text="Hi Reply STOP to opt out")
        assert steps.add_opt_out_line(a_draft(text="Hi"), facts()) == added

    def test_adds_it_once(self):
        draft = a_draft(text="Hi. Reply STOP to opt out")
        assert steps.add_opt_out_line(draft, facts()) == draft


class TestRefuseTooLong:
    def test_refuses_more_than_the_provider_takes(self):
        draft = a_draft(text="x" * 1601)
        assert steps.refuse_unfit(draft, facts()) == Refuse(Reason.TOO_LONG)

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("x" * 160, 1),
            ("x" * 161, 2),
            ("x" * 1600, 11),
            ("\N{SNOWMAN}" * 70, 1),
            ("\N{SNOWMAN}" * 71, 2),
        ],
        ids=["full", "one-over", "longest", "wide-full", "wide-one-over"],
    )
    def test_counts_the_segments(self, text, parts):
        draft = a_draft(text=text)
        assert steps.refuse_unfit(draft, facts()) == draft._replace(segments=parts)
