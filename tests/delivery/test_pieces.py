"""A long text that a provider hands on in pieces: joined, then read as one."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from delivery import inbound, pieces
from delivery.models import Inbound, InboundReview
from providers.base import Part
from tests.delivery.texting import is_out, later, on_hold, say, store
from tests.factories import make_brand, make_number, make_person

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
WORDS = ("I am looking for ", "a flat near the river, ", "with two rooms")


@pytest.fixture
def lane(sandbox):
    return make_number(brand=make_brand())


@pytest.fixture
def person(sandbox):
    return make_person()


@pytest.fixture
def piece(lane, person):
    """One piece of a text arrives and is applied; returns its row."""

    def piece(text, number, of, *, text_ref="17", sender=person):
        part = Part(text_ref=text_ref, number=number, of=of)
        inbound_id = store(lane, sender, text, part=part)
        inbound.apply(inbound_id)
        return Inbound.objects.get(pk=inbound_id)

    return piece


def stand():
    """Each stored text as it is now: what it says, how it was read, whether it is applied."""
    rows = Inbound.objects.order_by("id")
    return [(row.text, row.label, row.applied_at is not None) for row in rows]


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_is_joined_in_the_order_of_its_pieces_when_the_last_is_there(piece, order):
    for number in order:
        piece(WORDS[number], number + 1, 3)
    assert [label for _, label, _ in stand()] == ["part", "part", "none"]
    assert stand()[-1] == ("".join(WORDS), "none", True)


def test_waits_unapplied_for_what_is_missing(piece):
    piece(WORDS[0], 1, 3)
    piece(WORDS[2], 3, 3)
    assert [(label, is_applied) for _, label, is_applied in stand()] == [("", False)] * 2


def test_is_a_stop_when_the_word_was_cut_in_two(piece, person, lane):
    piece("ST", 1, 2)
    assert not is_out(person, lane.brand)
    piece("OP", 2, 2)
    assert is_out(person, lane.brand)


def test_is_no_stop_when_a_piece_alone_would_be_one(piece, person, lane):
    piece("Which bus goes to your sto", 1, 2)
    piece("re", 2, 2)
    assert not is_out(person, lane.brand)


def test_is_held_for_a_person_when_a_piece_never_comes(piece, person):
    stored = piece(WORDS[0], 1, 2)
    later(pieces.WAITS - SECOND)
    inbound.apply(stored.pk)
    assert not on_hold(person)
    later(pieces.WAITS + 2 * SECOND)
    assert inbound.apply_waiting() == 1
    assert on_hold(person)
    assert InboundReview.objects.get().inbound == stored


def test_is_a_stop_when_a_piece_never_comes_and_the_others_say_so(piece, person, lane):
    piece("STOP", 1, 2)
    later(pieces.WAITS + 2 * SECOND)
    inbound.apply_waiting()
    assert is_out(person, lane.brand)


@pytest.mark.parametrize("other", [{"text_ref": "18"}, {"of": 3}])
def test_is_not_joined_with_another_text(piece, other):
    piece(WORDS[0], 1, 2)
    piece(WORDS[1], 2, **{"of": 2, **other})
    assert not any(is_applied for *_, is_applied in stand())


def test_is_not_joined_with_that_of_another_person(piece):
    piece(WORDS[0], 1, 2)
    piece(WORDS[1], 2, 2, sender=make_person())
    assert not any(is_applied for *_, is_applied in stand())


def test_is_joined_once_when_a_piece_comes_twice_under_two_ids(piece):
    piece(WORDS[0], 1, 2)
    piece(WORDS[0], 1, 2)
    piece(WORDS[1], 2, 2)
    assert stand()[-1][0] == WORDS[0] + WORDS[1]


def test_says_the_same_when_the_provider_posts_it_again(piece, person, lane):
    piece("ST", 1, 2)
    last = piece("OP", 2, 2)
    before = stand()
    inbound.apply(last.pk)
    assert stand() == before


def test_a_stop_is_heard_when_another_text_has_the_same_mark(piece, person, lane):
    piece("Is there a room ", 1, 2)
    piece("STOP", 1, 2)
    piece("for two?", 2, 2)
    assert stand()[-1] == ("Is there a room for two?", "none", True)
    assert not is_out(person, lane.brand)
    later(pieces.WAITS + 2 * SECOND)
    inbound.apply_waiting()
    assert is_out(person, lane.brand)


def test_each_of_two_beginnings_is_heard_when_no_end_comes(piece, person, lane):
    first = piece("Is there a room ", 1, 2)
    stop = piece("STOP", 1, 2)
    later(pieces.WAITS + 2 * SECOND)
    inbound.apply(stop.pk)
    inbound.apply(first.pk)
    assert [text for text, *_ in stand()] == ["Is there a room ", "STOP"]
    assert is_out(person, lane.brand)


def test_a_piece_that_was_read_with_others_is_not_read_alone(piece, person, lane):
    """As when the provider posts it again, or two came at one moment."""
    end = piece("stop", 2, 2)
    piece("Is the bus non", 1, 2)
    before = stand()
    inbound.apply(end.pk)
    assert stand() == before
    assert not is_out(person, lane.brand)
    assert not on_hold(person)


def test_of_one_piece_is_whole_at_once(piece):
    piece("Hello", 1, 1)
    assert stand() == [("Hello", "none", True)]


def test_a_text_in_no_pieces_waits_for_nothing(lane, person):
    say(lane, person, "Hello")
    assert stand() == [("Hello", "none", True)]
