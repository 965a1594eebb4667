from __future__ import annotations

from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters.smtp_message import compose
from tests.providers.mailing import BOUNCES, a_mail
from tests.providers.peers import NOON

LONG = f"https://shop.example.com/u/{'x' * 300}"
ENCODED = [
    "=?us-ascii?q?=0D=0ABcc:_b@example.com?=",
    "=?utf-8?b?DQpCY2M6IGJAZXhhbXBsZS5jb20=?=",
]
BREAKS = "a\r\nBcc: b@example.com\nX: y\rZ\x0b\x0c\x1c\x85\u2028\u2029\x00"


def composed(**changes):
    return compose(a_mail(**changes), bounce_domain=BOUNCES, at=NOON)


def read(**changes):
    return message_from_bytes(composed(**changes), policy=policy.default)


class TestHeaders:
    def test_are_these(self):
        message = read()
        assert dict(message.items()) == {
            "Message-ID": "<r1@shop.example.com>",
            "X-Send-Ref": "r1",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "List-Unsubscribe": "<https://shop.example.com/u/r1>,"
            " <mailto:unsubscribe+r1@bounces.example.com?subject=unsubscribe%20r1>",
            "From": "The Shop <jobs@shop.example.com>",
            "To": "anna@example.com",
            "Subject": "Two new jobs",
            "Date": "Sat, 21 Nov 2026 12:00:00 +0000",
            "Content-Type": 'text/plain; charset="utf-8"',
            "Content-Transfer-Encoding": "7bit",
            "MIME-Version": "1.0",
        }

    def test_without_an_address_for_one_click_there_is_only_mail_to_unsubscribe(self):
        message = read(unsubscribe_url="")
        assert message["List-Unsubscribe-Post"] is None
        assert message["List-Unsubscribe"].startswith("<mailto:unsubscribe+r1@")

    def test_a_long_address_for_one_click_is_neither_folded_nor_encoded(self):
        assert f"List-Unsubscribe: <{LONG}>,\r\n".encode() in composed(unsubscribe_url=LONG)

    def test_the_domain_of_the_sender_may_be_foreign(self):
        message = read(from_value="jobs@exämple.com")
        assert message["From"].addresses[0].domain == "xn--exmple-cua.com"
        assert message["Message-ID"] == "<r1@xn--exmple-cua.com>"

    @pytest.mark.parametrize("name", ["Café", 'A "B" C', "A, B; C <x@example.com>", "日本語", ""])
    def test_a_name_reads_as_it_was_written(self, name):
        (address,) = read(from_name=name)["From"].addresses
        assert (address.display_name, address.addr_spec) == (name, "jobs@shop.example.com")

    @pytest.mark.parametrize("subject", ["Zwei neue Jobs 👩‍💻", "ü" * 300, "x" * 2000])
    def test_a_subject_reads_as_it_was_written(self, subject):
        assert read(subject=subject)["Subject"] == subject

    @pytest.mark.parametrize("field", ["subject", "from_name"])
    def test_line_breaks_make_no_further_header(self, field):
        before, after = read(), read(**{field: BREAKS})
        assert after.keys() == before.keys()
        assert "a Bcc: b@example.com X: y Z" in str(after["Subject"]) + str(after["From"])

    @pytest.mark.parametrize("field", ["subject", "from_name"])
    @pytest.mark.parametrize("word", ENCODED)
    def test_line_breaks_in_an_encoded_word_make_no_further_header(self, field, word):
        data = composed(**{field: f"Hi {word}"})
        assert b"\nBcc" not in data
        assert message_from_bytes(data, policy=policy.default).keys() == read().keys()

    def test_a_subject_with_a_question_and_an_equals_sign_stays_as_it_is(self):
        assert read(subject="2+2=?")["Subject"] == "2+2=?"

    @given(st.text(max_size=200), st.text(max_size=200))
    def test_no_value_makes_a_further_header_or_recipient(self, subject, name):
        try:
            data = composed(subject=subject, from_name=name)
        except UnicodeError:  # half a character
            return
        message = message_from_bytes(data, policy=policy.default)
        assert message.keys() == read().keys()
        assert [one.addr_spec for one in message["From"].addresses] == ["jobs@shop.example.com"]

    def test_an_address_for_one_click_that_would_end_its_brackets_is_left_out(self):
        message = read(unsubscribe_url="https://shop.example.com/>,\r\nBcc: <b@example.com")
        assert "Bcc" not in message
        assert message["List-Unsubscribe-Post"] is None


class TestTheBody:
    def test_is_text_alone_where_there_is_no_html(self):
        message = read(text="Hi Änna 👩‍💻\n.\nBye")
        assert message.get_content() == "Hi Änna 👩‍💻\r\n.\r\nBye\r\n"

    def test_is_both_where_there_is_html(self):
        message = read(text="Hi", html="<p>Hï</p>")
        assert message.get_content_type() == "multipart/alternative"
        found = [(part.get_content_type(), part.get_content()) for part in message.iter_parts()]
        assert found == [("text/plain", "Hi\r\n"), ("text/html", "<p>Hï</p>\r\n")]

    def test_has_seven_bits_and_no_long_lines_and_no_bare_breaks(self):
        data = composed(text="ü" * 3000, html="<p>" + "x" * 3000)
        lines = data.split(b"\r\n")
        assert max(map(len, lines)) <= 998
        assert data.isascii()
        assert not any(b"\n" in line or b"\r" in line for line in lines)
