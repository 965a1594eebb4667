from __future__ import annotations

import pytest

from leads.people import Directory

P, Q, E, F = "+12125550101", "+12125550102", "e@example.com", "f@example.com"
NOBODY: frozenset[int] = frozenset()


def told(directory):
    """The directory's people after matching: id or "new", phone, e-mail."""
    parties = {*directory.by_phone.values(), *directory.by_email.values()}
    return {(party.id or "new", party.phone, party.email) for party in parties}


def owner(match):
    return match.email_owner and (match.email_owner.id or "new")


def test_somebody_unknown_is_new_with_phone_and_email():
    directory = Directory([])
    assert owner(directory.match(P, E, NOBODY)) is None
    assert told(directory) == {("new", P, E)}
    assert len(directory.new) == 1


@pytest.mark.parametrize(
    ("phone", "email"),
    [
        pytest.param(P, None, id="by phone"),
        pytest.param(P, E, id="by both"),
        pytest.param(None, E, id="by e-mail"),
    ],
)
def test_somebody_known_is_found(phone, email):
    directory = Directory([(7, P, E)])
    assert directory.match(phone, email, NOBODY).person.id == 7
    assert (directory.new, directory.found[0].is_changed) == ([], False)


def test_the_phone_decides_before_the_email():
    directory = Directory([(7, P, None), (8, Q, E)])
    match = directory.match(P, E, NOBODY)
    assert (match.person.id, owner(match)) == (7, 8)
    assert told(directory) == {(7, P, None), (8, Q, E)}


def test_an_email_of_somebody_with_another_phone_is_not_attached():
    directory = Directory([(7, P, E)])
    match = directory.match(Q, E, NOBODY)
    assert (match.person.id, owner(match)) == (None, 7)
    assert told(directory) == {(7, P, E), ("new", Q, None)}


def test_somebody_known_by_email_alone_gets_the_phone():
    directory = Directory([(7, None, E)])
    match = directory.match(P, E, NOBODY)
    assert (match.person.id, match.person.got_phone, owner(match)) == (7, True, None)
    assert told(directory) == {(7, P, E)}


def test_somebody_known_by_phone_alone_gets_the_email():
    directory = Directory([(7, P, None)])
    match = directory.match(P, E, NOBODY)
    assert (match.person.is_changed, match.person.got_phone) == (True, False)
    assert told(directory) == {(7, P, E)}


def test_an_email_is_never_exchanged_the_second_one_is_a_person_of_its_own():
    directory = Directory([(7, P, E)])
    match = directory.match(P, F, NOBODY)
    assert (match.person.id, owner(match)) == (7, "new")
    assert told(directory) == {(7, P, E), ("new", None, F)}


def test_two_rows_of_a_batch_that_share_an_email_are_two_people():
    directory = Directory([])
    first, second = directory.match(P, E, NOBODY), directory.match(Q, E, NOBODY)
    assert second.email_owner is first.person
    assert told(directory) == {("new", P, E), ("new", Q, None)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((P, E), (P, F), id="same phone"),
        pytest.param((P, E), (None, E), id="found by e-mail the second time"),
        pytest.param((None, E), (P, E), id="found by e-mail the first time"),
    ],
)
def test_a_second_row_of_the_same_person_is_a_duplicate_and_leaves_no_trace(first, second):
    directory = Directory([])
    directory.match(*first, NOBODY)
    before = told(directory)
    assert directory.match(*second, NOBODY) is None
    assert told(directory) == before


def test_a_person_of_an_earlier_batch_is_a_duplicate_and_is_not_changed():
    directory = Directory([(7, P, None)])
    assert directory.match(P, E, {7}) is None
    assert told(directory) == {(7, P, None)}


def test_links_are_remembered_so_that_restrictions_go_to_both():
    directory = Directory([(7, P, None), (8, Q, E)])
    match = directory.match(P, E, NOBODY)
    assert directory.links == [(match.person, match.email_owner)]
