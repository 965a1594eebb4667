from __future__ import annotations

from datetime import timedelta

import pytest

from brands import clock, keys
from brands.keys import State
from brands.models import ApiKey, Brand
from tests.factories import NOON, make_brand, make_installation, set_clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def brand(sandbox):
    return make_brand()


class TestMaking:
    @pytest.mark.parametrize(
        ("is_sandbox", "begins"),
        [pytest.param(True, "so_test_", id="sandbox"), pytest.param(False, "so_live_", id="real")],
    )
    def test_says_in_the_key_what_kind_it_is(self, is_sandbox, begins):
        make_installation(is_sandbox=is_sandbox)
        assert keys.make(make_brand(), "Portal").whole.startswith(begins)

    def test_stores_a_prefix_and_a_hash_and_nothing_else_of_it(self, brand):
        made = keys.make(brand, "Portal")
        (row,) = ApiKey.objects.values()
        assert row["prefix"] == made.whole[:12]
        assert made.whole[12:] not in str(row)

    def test_makes_every_key_another(self, brand):
        assert len({keys.make(brand, "Portal").whole for _ in range(20)}) == 20

    def test_has_256_bits_of_chance(self):
        assert len(keys.ALPHABET) ** keys.LENGTH > 2**256

    def test_draws_again_when_a_key_begins_like_another(self, brand, monkeypatch):
        first = keys.make(brand, "Portal")
        drawn = iter([*first.whole[8:], *("b" * keys.LENGTH)])
        monkeypatch.setattr(keys.secrets, "choice", lambda alphabet: next(drawn))
        assert keys.make(brand, "Other").whole == "so_test_" + "b" * keys.LENGTH

    def test_knows_no_scope_that_there_is_not(self, brand):
        with pytest.raises(ValueError):
            keys.make(brand, "Portal", scopes=["leads:read"])


class TestFinding:
    def test_finds_a_key_that_works(self, brand):
        made = keys.make(brand, "Portal")
        assert keys.find(made.whole) == (made.key, State.WORKS)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda whole: whole[:-1] + "-", id="another sign"),
            pytest.param(lambda whole: whole[:-1], id="cut"),
            pytest.param(lambda whole: whole + "a", id="longer"),
            pytest.param(lambda whole: whole[:12], id="only what staff see"),
            pytest.param(lambda whole: whole[:12] + "a" * 39, id="the right prefix"),
            pytest.param(lambda whole: whole.upper(), id="capitals"),
            pytest.param(lambda whole: "so_test_" + "a" * 43, id="made up"),
            pytest.param(lambda whole: "\0", id="NUL"),
            pytest.param(lambda whole: "", id="nothing"),
        ],
    )
    def test_finds_no_other(self, brand, change):
        assert keys.find(change(keys.make(brand, "Portal").whole)) is None

    def test_says_that_it_was_revoked(self, brand):
        made = keys.make(brand, "Portal")
        assert keys.revoke(made.key)
        assert keys.find(made.whole) == (made.key, State.REVOKED)

    def test_revokes_once(self, brand):
        made = keys.make(brand, "Portal")
        assert [keys.revoke(made.key), keys.revoke(made.key)] == [True, False]

    def test_says_that_the_brand_is_retired(self, brand):
        made = keys.make(brand, "Portal")
        Brand.objects.update(retired_at=clock.now())
        assert keys.find(made.whole).state is State.BRAND_RETIRED

    def test_lets_it_expire_by_the_clock_of_the_installation(self, brand):
        made = keys.make(brand, "Portal", expires_at=NOON + timedelta(days=1))
        assert keys.find(made.whole).state is State.WORKS
        set_clock(NOON + timedelta(days=1))
        assert keys.find(made.whole).state is State.EXPIRED


class TestNotingUse:
    def test_notes_when_a_key_was_used(self, brand):
        made = keys.make(brand, "Portal")
        before = clock.now()
        keys.find(made.whole)
        assert before <= ApiKey.objects.get().last_used_at <= clock.now()

    def test_notes_it_once_a_minute_at_most(self, brand, statements):
        made = keys.make(brand, "Portal")
        look = lambda: keys.find(made.whole)  # noqa: E731
        assert [statements(look), statements(look)] == [2, 1]
        set_clock(clock.now() + timedelta(seconds=62))
        assert statements(look) == 2

    def test_notes_no_use_of_a_key_that_was_not_whole(self, brand):
        keys.find(keys.make(brand, "Portal").whole[:12] + "a" * 39)
        assert ApiKey.objects.get().last_used_at is None
