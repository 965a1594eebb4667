"""Opting out is read generously, opting in exactly, and no reply makes the reader fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from compliance import keywords, keywords_words
from compliance.keywords import Label, classify
from tests.compliance.replies import HELD, OF_THE_REFERENCE, OPEN, ROWS, replies, rows


class TestLabelledReplies:
    def test_there_are_as_many_as_in_the_reference(self):
        first = ROWS[:OF_THE_REFERENCE]
        assert (len(first), sum(label is Label.STOP for label, _ in first)) == (181, 100)

    def test_no_reply_stands_there_twice(self):
        ours = [reply for _, reply in ROWS[OF_THE_REFERENCE:]]
        assert len({reply for _, reply in ROWS}) == OF_THE_REFERENCE + len(ours)

    @rows(Label.STOP)
    def test_a_stop_is_never_let_through(self, reply):
        assert classify(reply) in HELD

    def test_nine_in_ten_stops_are_recognised_as_such(self):
        stops = [reply for label, reply in ROWS if label is Label.STOP]
        assert sum(classify(reply) is Label.STOP for reply in stops) >= 0.9 * len(stops)

    def test_hardly_any_ordinary_reply_is_held(self):
        ordinary = [
            reply
            for label, reply in ROWS[OF_THE_REFERENCE:]
            if label is Label.NONE and "stop" not in reply.casefold()
        ]
        assert sum(classify(reply) is Label.REVIEW for reply in ordinary) <= 0.03 * len(ordinary)

    @rows(Label.REVIEW)
    def test_what_staff_should_see_is_held_and_opts_nobody_out(self, reply):
        assert classify(reply) is Label.REVIEW

    @rows(Label.HELP)
    def test_a_call_for_help_is_heard(self, reply):
        assert classify(reply) is Label.HELP

    @rows(Label.JOIN)
    def test_a_join_is_taken(self, reply):
        assert classify(reply) is Label.JOIN

    @rows(Label.NONE, Label.MORE_JOBS)
    def test_an_ordinary_reply_opts_nobody_out_or_in(self, reply):
        assert classify(reply) in {Label.NONE, Label.REVIEW}


# The rewrites that phones and people make of the same reply.
REWRITES: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "lower case": str.lower,
    "title case": str.title,
    "emoji after": lambda reply: f"{reply} \U0001f64f",
    "exclamation": lambda reply: f"{reply}!!!",
    "full stop": lambda reply: f"{reply}.",
    "quotes": lambda reply: f"\u201c{reply}\u201d",
    "brackets": lambda reply: f"[{reply}]",
    "blank lines": lambda reply: f"\n\n{reply}\r\n\n",
    "no-break spaces": lambda reply: f"\u00a0{reply.replace(' ', chr(0xA0))}\u00a0",
    "zero-width spaces": lambda reply: "\u200b".join(reply),
    "signature above": lambda reply: f"Jane Doe\n{reply}",
    "signature below": lambda reply: f"{reply}\nJane Doe, Example Realty",
    "sent from a phone": lambda reply: f"{reply}\n\nSent from my iPhone",
    "thanks after": lambda reply: f"{reply} thanks",
    "thanks after a comma": lambda reply: f"{reply}, thank you",
    "please before": lambda reply: f"please {reply}",
}


class TestVariations:
    def test_there_are_seventeen(self):
        assert len(REWRITES) == 17

    @pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES.keys())
    def test_no_rewrite_of_a_stop_is_let_through(self, rewrite):
        stops = [reply for label, reply in ROWS if label is Label.STOP]
        assert [reply for reply in stops if classify(rewrite(reply)) in OPEN] == []


class TestStop:
    @replies("STOP", "Unsubscribe", "END", "quit", "Cancel", "revoke", "opt-out", "remove", "arrêt")
    def test_takes_a_stop_word_as_the_whole_reply(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "stp", "stopp it", "unsubscrib", "unsubsrcibe", "cancle", "revok", "cancellar", "sto p"
    )
    def test_takes_a_misspelt_stop_word_as_the_whole_reply(self, reply):
        assert classify(reply) is Label.STOP

    @replies("s.t.o.p", "S T O P texting me", "un-sub-scribe", "stop stop STOP", "stopstopstop")
    def test_takes_a_word_that_is_spelled_out_or_repeated(self, reply):
        assert classify(reply) is Label.STOP

    @replies("stoooop", "SSTTOOPP", "5t0p", "$top", "unsubscr1be", "qu1t")
    def test_takes_doubled_letters_and_signs_for_letters(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "\u0405\u0422\u041e\u0420",
        "\uff33\uff34\uff2f\uff30",
        "\U0001d5e6\U0001d5e7\U0001d5e2\U0001d5e3",
        "\U0001f1f8\U0001f1f9\U0001f1f4\U0001f1f5",
        "\ua731\u1d1b\u1d0f\u1d18",
        "s\u0301t\u0302o\u0308p\u0323",
        "\u202estop\u202c",
        "st\x00op",
        "ST\ud83dOP",
        "\u200fstop",
        "\u24e2\u24e3\u24de\u24df",
    )
    def test_sees_through_look_alike_and_invisible_letters(self, reply):
        assert classify(reply) is Label.STOP

    @replies("🛑", "no ⛔ more", "🚫", "🖕🏽", "🛑 to \u201cNew jobs near you\u201d")
    def test_takes_a_stop_sign_anywhere(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "I said do not text me at this number ever again, I have asked you so many times now",
        "Sotp sending me these messages",
        "please opt me out of the list",
        "I'd like to unsubscribe",
        "you have the wrong number, this is not Mike",
        "no longer interested",
        "delete my number",
        "get me off your list!!",
        "Stop. I found a job already",
        "No, stop",
        "dont\ntext me",
        "don\u00b4t text me",
        "ya no me envíen textos",
        "número equivocado",
        "date de baja, quiero darme de baja",
    )
    def test_takes_the_usual_ways_to_ask_for_it(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "Do not text",
        "DO NOT CONTACT",
        "Dont send",
        "do not call or text",
        "who is this dont text",
        "HELP DO NOT TEXT",
        "Do not text. I have a job",
        "Don't you ever text me again",
        "please refrain from messaging me",
    )
    def test_takes_a_forbidding_with_or_without_an_object(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "help i want to be removed",
        "How do I get removed",
        "start removing me",
        "Take me of your list",
        "get the hell off my phone",
        "Terminate my subscription",
        "add me to your do not contact list",
        "info on cancelling",
    )
    def test_takes_a_wish_to_be_let_out(self, reply):
        assert classify(reply) is Label.STOP

    @replies("unscribe", "unenroll", "opt our", "opt ou", "Op out", "otp out", "i want to opt oit")
    def test_takes_a_slip_in_words_that_leave(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "no consent",
        "consent revoked",
        "you dont have my consent",
        "I did not give you permission to text me",
        "I do not wish to receive these",
        "I don't want this",
        "unsolicited text",
    )
    def test_takes_a_consent_denied(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "TCPA violation", "I will sue", "you are breaking the law", "this is spam", "screw you"
    )
    def test_takes_a_plain_threat(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "wrong #",
        "worng numbr",
        "This number belongs to someone else",
        "nobody here by that name",
        "not my name",
        "leave me the hell alone",
    )
    def test_takes_a_number_of_somebody_else(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "Eliminar mi número",
        "déjenme en paz",
        "no deseo mas mensajes",
        "Detengan los mensajes",
        "quítame",
        "sacame de la lista",
        "desuscribirme",
        "no mandar mas",
        "ya no quiero",
        "ne m'envoyez plus",
        "plus de messages",
        "désinscription",
        "supprimez-moi",
    )
    def test_takes_spanish_and_french(self, reply):
        assert classify(reply) is Label.STOP

    @replies("start stop", "HELP! STOP", "join\nstop", "START, no wait, STOP", "yes stop")
    def test_wins_over_any_other_wish(self, reply):
        assert classify(reply) in HELD

    @replies("help me out", "is top pay", "so top", "I didn't ask about pay", "spot on")
    def test_is_not_pieced_together_from_other_words(self, reply):
        assert classify(reply) is not Label.STOP

    def test_is_not_read_from_a_quoted_line_above_another_wish(self):
        assert classify("> Reply STOP to opt out\nstart") is Label.JOIN


class TestAnyText:
    @given(st.text(st.characters(exclude_categories=()), max_size=400))
    @example("\ud800")
    @example("\x00")
    @example("\u202e\u200f")
    @example('Liked "')
    @example("\ufdfa" * 3000)
    def test_has_a_label(self, text):
        assert classify(text) in set(Label)

    @given(st.text(max_size=60))
    def test_is_held_when_a_line_of_its_own_says_stop(self, text):
        assert classify(f"{text.replace('>', '')}\nstop") in HELD

    @given(st.sampled_from(sorted(keywords_words.STOP_ANYWHERE)), st.text(" ,.ab", max_size=40))
    def test_is_held_when_it_has_a_stop_word(self, word, text):
        assert classify(f"{text} {word} {text}") in HELD

    @given(st.text(), st.dictionaries(st.text(), st.sampled_from(Label)))
    def test_has_a_label_with_any_words_of_a_brand(self, text, own):
        assert classify(text, keywords=own) in set(Label)

    @pytest.mark.parametrize("reply", [None, 7, b"stop"], ids=["none", "number", "bytes"])
    def test_is_held_when_it_is_no_text(self, reply):
        assert classify(reply) is Label.REVIEW


class TestLongReplies:
    @replies("a " * 50_000, "stop" * 25_000, "\n" * 99_999 + "x", "no " * 33_334, "s " * 50_000)
    def test_only_the_ends_are_read(self, monkeypatch, reply):
        read = []
        fold = keywords._fold
        monkeypatch.setattr(keywords, "_fold", lambda text: read.append(len(text)) or fold(text))
        assert classify(reply) in set(Label)
        assert max(read) <= keywords.HEAD + keywords.TAIL + 1

    @replies("word " * 20_000 + "\nstop", "stop\n" + "word " * 20_000)
    def test_a_stop_at_either_end_is_seen(self, reply):
        assert classify(reply) is Label.STOP

    def test_what_was_not_read_whole_is_held(self):
        assert classify("word " * 20_000) is Label.REVIEW

    def test_long_ordinary_words_are_not_kept(self):
        keywords._meaning.cache_clear()
        classify("words of a person that nobody should keep as one")
        assert keywords._meaning.cache_info().currsize <= 10
