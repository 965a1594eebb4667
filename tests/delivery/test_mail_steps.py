from __future__ import annotations

from dataclasses import replace

import pytest

from campaigns.rendering import Mail
from delivery import mail_steps, sendings, steps
from delivery.mail_steps import MAIL_MARKS, UNSUBSCRIBE_MARK, addressed, hash_of_mail
from delivery.states import Reason
from delivery.steps import LINK_MARK, Envelope, Hold, Refuse
from tests.delivery.stepping import (
    LANE,
    MINUTE,
    NOW,
    SLOT,
    TODAY,
    a_draft,
    a_person,
    a_test,
    facts,
    sent,
    with_single,
)

WORDS = Mail(
    "For {first_name}",
    "Hi {first_name}, {link}",
    '<p>Hi {first_name}, <a href="{link}">jobs</a></p>',
)
SENDER = replace(LANE, value="jobs@mail.example.com", kind="email", max_chars=1000)


def a_mail(**changes):
    mail = Envelope(**changes.pop("mail", {}))
    return a_draft(**{"to": "ada@example.com", "mail": mail, **changes})


def with_mail(words=WORDS, **changes):
    slot = replace(SLOT, template=words.text, mail=words, **changes.pop("slot", {}))
    return facts(**{"slots": {3: slot}, "lanes": {6: SENDER}, **changes})


def filled(words=WORDS, **changes):
    return mail_steps.fill_in_mail_of_slot(a_mail(**changes), with_mail(words))


class TestTheOrder:
    def test_of_an_email_is_that_of_a_text_but_for_its_own_steps(self):
        instead = {
            "refuse_bad_address": "refuse_bad_mailbox",
            "fill_in_text": "fill_in_mail_of_slot",
            "add_link": "add_link_to_mail",
            "add_opt_out_line": "add_unsubscribe_link",
            "refuse_unfit": "refuse_unfit_mail",
        }
        expected = [instead.get(one.__name__, one.__name__) for one in sendings.CAMPAIGN]
        assert [step.__name__ for step in sendings.EMAIL_CAMPAIGN] == expected

    @pytest.mark.parametrize("to_a_lead", [False, True])
    def test_of_a_test_by_email_is_that_of_a_test_but_for_its_own_steps(self, to_a_lead):
        instead = {
            "refuse_bad_address": "refuse_bad_mailbox",
            "fill_in_single": "fill_in_mail_of_single",
            "add_link": "add_link_to_mail",
            "add_opt_out_line": "add_unsubscribe_link",
            "refuse_unfit": "refuse_unfit_mail",
        }
        of_text, of_mail = (
            sendings.STEPS[steps.sending_of_test(to_a_lead=to_a_lead, is_mail=is_mail)]
            for is_mail in (False, True)
        )
        expected = [instead.get(one.__name__, one.__name__) for one in of_text]
        assert [step.__name__ for step in of_mail] == expected

    def test_is_chosen_by_the_draft(self):
        assert a_mail().sending == "email-campaign"
        assert a_draft().sending == "campaign"
        assert a_test(mail=Envelope()).sending == "email-test"
        assert a_test(mail=Envelope(), to_a_lead=True).sending == "email-test-to-a-lead"


class TestRefuseBadMailbox:
    @pytest.mark.parametrize(
        ("draft", "reason"),
        [
            pytest.param(a_mail(to=""), Reason.NO_ADDRESS, id="none"),
            pytest.param(a_mail(mail={"bounces": True}), Reason.UNDELIVERABLE, id="bounces"),
            pytest.param(a_mail(lead_is_active=False), Reason.LEAD_INACTIVE, id="inactive"),
        ],
    )
    def test_refuses(self, draft, reason):
        assert mail_steps.refuse_bad_mailbox(draft, facts()) == Refuse(reason)

    def test_does_not_mind_a_dead_phone(self):
        found = facts(persons={4: a_person(undeliverable=True)})
        assert mail_steps.refuse_bad_mailbox(a_mail(), found) == a_mail()


class TestFillInMail:
    def test_fills_in_subject_text_and_html(self):
        draft = filled()
        assert draft.mail.subject == "For Ada"
        assert draft.text == f"Hi Ada, {LINK_MARK}"
        assert draft.mail.html == f'<p>Hi Ada, <a href="{LINK_MARK}">jobs</a></p>'

    def test_escapes_values_in_html_alone(self):
        values = {"first_name": '<b>"Ada" & Co'}
        draft = filled(values=values)
        assert draft.mail.subject == 'For <b>"Ada" & Co'
        assert draft.text.startswith('Hi <b>"Ada" & Co,')
        assert draft.mail.html.startswith("<p>Hi &lt;b&gt;&quot;Ada&quot; &amp; Co,")

    @pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\0"])
    def test_lets_no_break_into_the_subject(self, breaks):
        draft = filled(values={"first_name": f"Ada{breaks}Bcc: all@example.com"})
        assert draft.mail.subject == "For Ada Bcc: all@example.com"

    @pytest.mark.parametrize(
        "words",
        [
            pytest.param(Mail("{city}", "Hi"), id="subject"),
            pytest.param(Mail("Hi", "{city}"), id="text"),
            pytest.param(Mail("Hi", "Hi", "{city}"), id="html"),
        ],
    )
    def test_refuses_where_a_name_has_no_value(self, words):
        assert filled(words) == Refuse(Reason.CANNOT_RENDER)

    @pytest.mark.parametrize("words", [Mail("{first_name}", "Hi"), Mail("Hi", "{first_name}")])
    def test_refuses_what_says_nothing(self, words):
        blank = words._replace(subject=words.subject.replace("{first_name}", "{first_name|}"))
        blank = blank._replace(text=blank.text.replace("{first_name}", "{first_name|}"))
        assert filled(blank, values={}) == Refuse(Reason.CANNOT_RENDER)

    def test_refuses_a_link_that_leads_nowhere(self):
        found = with_mail(slot={"destination": ""})
        draft = mail_steps.fill_in_mail_of_slot(a_mail(), found)
        assert draft == Refuse(Reason.CANNOT_RENDER)

    def test_hashes_subject_and_text_without_the_links(self):
        assert filled().words_hash == hash_of_mail("For Ada", "Hi Ada,")
        assert filled(WORDS._replace(subject="Another")).words_hash != filled().words_hash
        other = Mail(WORDS.subject, "Hi {first_name}, {link}\nUnsubscribe: {unsubscribe}")
        assert filled(other).words_hash == filled().words_hash

    def test_takes_the_words_and_values_of_a_single(self):
        found = with_single(mail=WORDS)
        draft = mail_steps.fill_in_mail_of_single(a_test(mail=Envelope()), found)
        assert draft.mail.subject == "For Kim"


class TestLinks:
    def test_stand_in_text_and_html(self):
        draft = a_mail(text=f"See {LINK_MARK}", mail={"html": f'<a href="{LINK_MARK}">x</a>'})
        linked = mail_steps.add_link_to_mail(draft, facts())
        assert linked.text == "See https://go.example.com/abcdefgh"
        assert linked.mail.html == '<a href="https://go.example.com/abcdefgh">x</a>'

    def test_are_kept_where_only_the_html_has_one(self):
        draft = a_mail(text="Hi", mail={"html": f'<a href="{LINK_MARK}">x</a>'})
        assert mail_steps.add_link_to_mail(draft, facts()).code == "abcdefgh"

    def test_are_not_made_where_there_is_none(self):
        assert mail_steps.add_link_to_mail(a_mail(text="Hi"), facts()).code == ""


class TestTheWayOut:
    def test_is_added_below_text_and_within_the_body(self):
        draft = a_mail(text="Hi", mail={"html": "<body><p>Hi</p></BODY></html>"})
        out = addressed(mail_steps.add_unsubscribe_link(draft, facts()), "r" * 22)
        url = f"http://localhost:8000/u/{'r' * 22}"
        assert out.text.endswith(f"/u/{'r' * 22}")
        assert out.text.startswith("Hi\n\nUnsubscribe: http")
        assert f'/u/{"r" * 22}">Unsubscribe</a></p>\n</BODY>' in out.mail.html
        assert UNSUBSCRIBE_MARK not in out.text + out.mail.html, url

    def test_is_not_added_where_it_stands(self):
        html = f'<a href="{UNSUBSCRIBE_MARK}">out</a>'
        draft = a_mail(text=f"Out: {UNSUBSCRIBE_MARK}", mail={"html": html})
        assert mail_steps.add_unsubscribe_link(draft, facts()) == draft

    def test_is_added_to_no_html_where_there_is_none(self):
        out = mail_steps.add_unsubscribe_link(a_mail(text="Hi"), facts())
        assert out.mail.html == ""

    def test_leaves_a_text_message_as_it_is(self):
        draft = a_draft(text=f"Hi {UNSUBSCRIBE_MARK}")
        assert addressed(draft, "r" * 22) is draft


class TestTheSameWords:
    def test_are_refused_on_one_day(self):
        draft = filled()
        found = with_mail(
            persons={4: a_person(recent=[sent(MINUTE, 99, draft.words_hash, TODAY.isoformat())])}
        )
        assert steps.refuse_same_words(draft, found) == Refuse(Reason.SAME_WORDS)

    def test_are_others_than_those_of_a_text(self):
        text = steps.fill_in_text(a_draft(), with_mail())
        assert text.words_hash != filled().words_hash


class TestTheLane:
    def test_counts_an_email_as_one_segment_whatever_its_length(self):
        draft = a_mail(text="x" * 999)
        assert mail_steps.refuse_unfit_mail(draft, with_mail()).segments == 1

    @pytest.mark.parametrize(
        "draft", [a_mail(text="x" * 1001), a_mail(text="x", mail={"html": "x" * 1001})]
    )
    def test_refuses_what_the_account_cannot_carry(self, draft):
        assert mail_steps.refuse_unfit_mail(draft, with_mail()) == Refuse(Reason.TOO_LONG)

    @pytest.mark.parametrize(
        ("draft", "lane", "goes"),
        [
            pytest.param(a_mail(), SENDER, True, id="email-by-its-sender"),
            pytest.param(a_mail(), LANE, False, id="email-by-a-number"),
            pytest.param(a_draft(), SENDER, False, id="text-by-an-email-sender"),
        ],
    )
    def test_must_be_of_the_channel(self, draft, lane, goes):
        held = Hold(Reason.LANE_PAUSED, NOW + MINUTE)
        found = steps.hold_without_a_number(draft, facts(lanes={6: lane}))
        assert found == (draft if goes else held)

    def test_of_an_email_is_nobodys_number(self):
        assert (a_draft().sticks, a_mail().sticks) == (True, False)


def test_the_marks_are_what_a_hash_leaves_out():
    text = "Hi " + " ".join(MAIL_MARKS)
    assert hash_of_mail("S", text, *MAIL_MARKS) == hash_of_mail("S", "Hi")
