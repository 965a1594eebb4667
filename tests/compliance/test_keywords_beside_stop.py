"""What is held, what is an ordinary wish, and what is nothing: all replies that are no STOP."""

from __future__ import annotations

import logging

import pytest

from compliance import keywords
from compliance.keywords import Label, classify
from tests.compliance.replies import HELD, OPEN, replies


class TestReview:
    @replies(
        "never cancel", "I can't stop smiling", "please do not take me off", "don't opt me out"
    )
    def test_holds_a_stop_that_is_denied(self, reply):
        assert classify(reply) in HELD

    @replies(
        "my contract will end in March",
        "are they cancelling the fair",
        "is the job at the truck stop still open for next week",
        "they said stoptexting was the name of it or so i was told",
        "well i tried to unsubscribe last week but your page was down and now it is up",
        "I think that stpo is what I was told to write back here by the other agent",
    )
    def test_holds_a_stop_word_inside_a_sentence(self, reply):
        assert classify(reply) is Label.REVIEW

    @replies("step", "top", "Shop!", "stops", "bye bye", "goodbye")
    def test_holds_a_word_one_slip_away_and_a_farewell(self, reply):
        assert classify(reply) is Label.REVIEW

    @replies("Don't call me, text me", "do not text after 9pm", "no me llamen antes de las 9")
    def test_holds_what_forbids_a_time_or_a_way_only(self, reply):
        assert classify(reply) is Label.REVIEW

    @replies("spam", "JUNK", "report", "fcc", "lawsuit", "scam?")
    def test_holds_a_word_of_anger(self, reply):
        assert classify(reply) is Label.REVIEW

    @replies("Maria died", "this is not Maria", "not him", "no soy Ana", "I just got this number")
    def test_holds_what_may_come_from_somebody_else(self, reply):
        assert classify(reply) is Label.REVIEW

    @replies("this is not urgent", "I'm not sure", "not today", "my phone died", "I'm not driving")
    def test_takes_ordinary_words_for_no_name(self, reply):
        assert classify(reply) is Label.NONE

    @replies("quite", "suit", "remote", "evoke", "quiet", "send", "and", "unstop please", "pagar")
    def test_lets_innocent_neighbours_of_stop_words_pass(self, reply):
        assert classify(reply) in OPEN

    def test_holds_what_fails(self, monkeypatch, caplog):
        def broken(folded: str) -> None:
            raise UnicodeError(f"cannot read {folded}")

        monkeypatch.setattr(keywords, "_lines", broken)
        with caplog.at_level(logging.ERROR):
            assert classify("a secret reply") is Label.REVIEW
        assert [record.error for record in caplog.records] == ["UnicodeError"]
        assert "secret" not in caplog.text


class TestSayings:
    @replies(
        "end of the month works",
        "My last day is at the end of July",
        "I just quit my job",
        "I quit smoking",
        "front end jobs",
        "why don't you call me",
    )
    def test_stop_nothing(self, reply):
        assert classify(reply) is Label.NONE

    @replies(
        "which bus stop is it near",
        "I'll stop by the shop at 5",
        "can I stop in tomorrow?",
        "I will stop by tomorrow",
        "is it non-stop work",
        "a one-stop shop",
        "Stop & Shop is hiring?",
        "arrêt de bus",
    )
    def test_with_the_very_word_opt_nobody_out_and_are_held(self, reply):
        assert classify(reply) is Label.REVIEW

    @replies(
        "bus stop texting me", "Bus. Stop", "I quit my job alerts", "Non! Stop", "non-stop\nstop"
    )
    def test_do_not_hide_a_stop(self, reply):
        assert classify(reply) is Label.STOP

    @replies(
        "I want this to stop by tomorrow",
        "stop by text",
        "can I stop at any time",
        "I quit my job so stop",
        "the end of this",
        "end of the month texts stop",
    )
    def test_leave_other_stops_held(self, reply):
        assert classify(reply) is Label.REVIEW


class TestAuthorisedToWork:
    @replies(
        "I'm not authorized to work in the US",
        "I don't have permission from school",
        "no consent form needed?",
        "I was reassigned to another site",
        "who told you to hire me",
        "get me out of my dead end job",
    )
    def test_is_no_word_about_messages(self, reply):
        assert classify(reply) is Label.NONE


class TestReactions:
    @replies(
        "Liked \u201cNew jobs near you. Reply STOP to opt out\u201d",
        'Loved \u201cNew "night" jobs near you.\nReply STOP to opt out\u201d',
        'Laughed at "Jobs at Example. Text STOP to end"',
        "\u200b\U0001f44d\u200b to \u201c\u200aNew jobs. Reply STOP to end\u200a\u201d",
        "Removed a like from \u201cNew jobs near you. Reply STOP to opt out\u201d",
        "Le gustó \u201cNew jobs near you. Reply STOP to opt out\u201d",
    )
    def test_a_kind_one_says_nothing(self, reply):
        assert classify(reply) is Label.NONE

    @replies(
        "Disliked \u201cNew jobs near you. Reply STOP to opt out\u201d",
        "\U0001f44e to \u201cNew jobs near you\u201d",
        "No le gustó \u201cNew jobs near you\u201d",
    )
    def test_an_unkind_one_is_held(self, reply):
        assert classify(reply) is Label.REVIEW

    @replies("Liked \u201cNew jobs near you\u201d\nSTOP", "Liked \u201cSTOP\u201d", 'Loved "stop')
    def test_nobody_hides_a_stop_in_one(self, reply):
        assert classify(reply) in HELD


class TestHelp:
    @replies(
        "HELP", "Help!", "please help", "info", "help\nSent from my iPhone", "need help", "???"
    )
    def test_is_given_when_asked_for(self, reply):
        assert classify(reply) is Label.HELP

    @replies("can you help me find a job downtown", "what is the pay?", "held", "into")
    def test_is_not_read_into_a_sentence(self, reply):
        assert classify(reply) is Label.NONE


class TestJoin:
    @replies(
        "Start.", "please start", "START thank you", "\u201cJoin\u201d", "opt in", "Opt-In", "OPTIN"
    )
    def test_takes_the_exact_word_only_dressed_up(self, reply):
        assert classify(reply) is Label.JOIN

    @replies(
        *("strat", "starrt", "st4rt", "s t a r t", "jion", "unstpo", "suscribe", "subscrib"),
        *(
            "YES",
            "y",
            "resume",
            "start me tomorrow",
            "when do I start",
            "I want to join",
            "re-subscribe",
        ),
    )
    def test_is_never_guessed(self, reply):
        assert classify(reply) is not Label.JOIN

    @replies("subscrib", "suscribe", "subscribed", "resubscribe", "resuscribe")
    def test_misspelt_opts_nobody_out(self, reply):
        assert classify(reply) is Label.NONE


class TestABrandsOwnWords:
    OWN = {"más trabajos": Label.MORE_JOBS, "comeback": Label.JOIN, "\U0001f44d": Label.MORE_JOBS}

    @pytest.mark.parametrize(
        ("reply", "label"),
        [
            ("MAS TRABAJOS!", Label.MORE_JOBS),
            ("comeback please", Label.JOIN),
            ("\U0001f44d", Label.MORE_JOBS),
            ("I will comeback", Label.NONE),
            ("combeack", Label.NONE),
        ],
    )
    def test_count_as_the_whole_reply_only(self, reply, label):
        assert classify(reply, keywords=self.OWN) is label

    def test_may_add_a_stop(self):
        assert classify("Goodbye!", keywords={"goodbye": Label.STOP}) is Label.STOP

    @replies("stop", "stopp", "truck stop", "quit")
    def test_never_win_over_a_stop_word(self, reply):
        assert classify(reply, keywords={reply: Label.JOIN}) in HELD

    @pytest.mark.parametrize(("reply", "label"), [("help", Label.HELP), ("start", Label.JOIN)])
    def test_never_change_what_help_and_start_mean(self, reply, label):
        assert classify(reply, keywords={reply: Label.MORE_JOBS}) is label
