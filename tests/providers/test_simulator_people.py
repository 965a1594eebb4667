from __future__ import annotations

from collections import Counter

import pytest

from providers.simulator_people import HEARD_OF_ONE, Heard, Memory, People, read_reply_orders

PHONES = [f"+1202555{n:04}" for n in range(1000, 5000)]


def replies(phones=PHONES, **orders):
    people = People(read_reply_orders({"replies": orders}))
    return [people.reply_of(phone, has_magic=False) for phone in phones]


def test_each_word_has_its_share():
    found = Counter(reply and reply.text for reply in replies(STOP=0.2, HELP=0.1))
    assert found["STOP"] / len(PHONES) == pytest.approx(0.2, abs=0.03)
    assert found["HELP"] / len(PHONES) == pytest.approx(0.1, abs=0.03)


def test_each_run_is_the_same_whatever_the_order_of_the_texts():
    forward, backward = replies(STOP=0.2), replies(reversed(PHONES), STOP=0.2)
    assert forward == backward[::-1]


def test_another_seed_is_other_people():
    assert replies(STOP=0.2) != replies(STOP=0.2, seed=2)


def test_forgeries_are_in_the_name_of_who_did_not_write():
    found = Counter(reply and reply.is_forged for reply in replies(STOP=0.5, forged=0.5))
    assert found[False] / len(PHONES) == pytest.approx(0.5, abs=0.03)
    assert found[True] / len(PHONES) == pytest.approx(0.25, abs=0.03)


def test_nobody_answers_twice():
    assert sum(reply is not None for reply in replies(PHONES[:100] * 2, STOP=1)) == 100


def test_of_what_a_phone_sent_the_last_is_remembered():
    memory = Memory()
    for n in range(HEARD_OF_ONE + 5):
        memory.add("+1", Heard(n, "+2", "hi"))
    assert [memory.of("+1")[0].at, len(memory.of("+1"))] == [5, HEARD_OF_ONE]
    assert memory.of("+3") == []
