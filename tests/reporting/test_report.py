from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.models import Slot
from delivery.states import Status
from reporting import report, report_rows
from reporting.models import SlotCount
from reporting.report import NOBODY, OF_SENT, PARTS, Group, Scope, TooSlow, What
from reporting.report_rows import Place, Wanted
from tests.factories import DAY, NOON, make_brand, make_number, make_slot
from tests.reporting.outcomes import count_all, make_message, make_stop

pytestmark = pytest.mark.django_db

ONE_DAY = timedelta(days=1)
COUNTED = (What.PLANNED, What.REFUSED, What.WAITING, What.SENT, *OF_SENT, What.CLICKS)


class Facts:
    """Two brands, two providers, two days; every status once or more, opt-outs and left out."""

    def __init__(self):
        self.lanes = [make_number(), make_number()]
        self.brands = [make_brand(), make_brand(zone="America/Los_Angeles")]
        self.slots = [
            make_slot(self.lanes[0], brand=brand, on=on)
            for brand in self.brands
            for on in (DAY, DAY + ONE_DAY)
        ]
        for n, slot in enumerate(self.slots):
            for status in list(Status)[n:]:
                reason = "opted_out" if status == Status.REFUSED else ""
                lane = self.lanes[(n + len(status.value)) % 2]
                make_message(slot, lane, status, reason=reason, clicks=status == "delivered")
            Slot.objects.filter(pk=slot.pk).update(suppressed={"opted_out": n, "sunset": 2})
        make_stop(self.brands[0], self.lanes[0])
        make_stop(self.brands[0], self.lanes[1], at=NOON + ONE_DAY)
        make_stop(self.brands[1], self.lanes[0])
        make_stop(self.brands[1], self.lanes[0], label="help")
        count_all(*self.slots)

    def scope(self, **fields):
        fields = {
            "brand_ids": tuple(brand.pk for brand in self.brands),
            "first": DAY,
            "last": DAY + ONE_DAY,
            **fields,
        }
        return Scope(**fields)


@pytest.fixture(scope="class")
def facts(shared_sandbox):
    """Read by all tests of a class; made once, for it takes a second."""
    return Facts()


def total(scope):
    return report.table(scope, Group.DAY, limit=0).total


def lines(scope, group):
    return report.table(scope, group, limit=1000).lines


def test_the_parts_hold_every_status_once():
    found = [status for statuses in PARTS.values() for status in statuses]
    assert sorted(found) == sorted(Status)


def test_nothing_is_awaited_of_what_got_no_report_in_time():
    assert Status.NO_REPORT in PARTS[What.UNKNOWN]
    assert set(PARTS[What.AWAITING]) == {Status.SENDING, Status.ACCEPTED, Status.SENT}


class TestTable:
    @pytest.mark.parametrize("group", Group)
    def test_every_line_adds_up_across(self, facts, group):
        for line in [total(facts.scope()), *lines(facts.scope(), group)]:
            assert line.planned == line.refused + line.waiting + line.sent
            assert line.sent == line.delivered + line.failed + line.unknown + line.awaiting

    @pytest.mark.parametrize("group", Group)
    def test_every_column_adds_up_to_its_total(self, facts, group):
        table = report.table(facts.scope(), group, limit=1000)
        for what in What:
            assert sum(line.of(what) for line in table.lines) == table.total.of(what) > 0, what
        assert len(table.lines) == table.many

    def test_the_total_is_everybody(self, facts):
        found = total(facts.scope())
        assert found.planned == sum(15 - n for n in range(4))
        assert (found.delivered, found.clicks) == (4, 4)
        assert (found.stops, found.suppressed) == (3, 0 + 1 + 2 + 3 + 8)

    def test_of_one_brand_is_of_no_other(self, facts):
        found = total(facts.scope(brand_ids=(facts.brands[1].pk,)))
        assert (found.planned, found.stops, found.suppressed) == (13 + 12, 1, 2 + 3 + 4)

    def test_of_one_day_has_its_slots_only(self, facts):
        found = total(facts.scope(last=DAY))
        assert (found.planned, found.stops) == (15 + 13, 2)

    def test_of_one_campaign_has_no_opt_outs(self, facts):
        found = total(facts.scope(campaign_id=facts.slots[0].campaign_id))
        assert (found.planned, found.stops, found.suppressed) == (15, 0, 2)

    def test_of_one_provider_has_what_it_has(self, facts):
        scopes = [facts.scope(account_id=lane.account_id) for lane in facts.lanes]
        found = [total(scope) for scope in scopes]
        assert [line.refused + line.waiting + line.suppressed for line in found] == [0, 0]
        assert sum(line.sent for line in found) == total(facts.scope()).sent
        assert [line.stops for line in found] == [2, 1]

    def test_of_no_provider_has_what_nobody_got(self, facts):
        found, everything = total(facts.scope(account_id=NOBODY)), total(facts.scope())
        assert (found.sent, found.stops) == (0, 0)
        assert found.planned == everything.refused + everything.waiting
        assert found.suppressed == everything.suppressed

    def test_of_nothing_is_a_line_of_zeros(self, facts):
        table = report.table(facts.scope(brand_ids=()), Group.DAY, limit=10)
        assert (table.lines, table.many, table.total.planned) == ([], 0, 0)
        assert (table.total.delivery_rate, table.total.stop_rate) == (None, None)

    def test_newest_day_first(self, facts):
        assert [line.day for line in lines(facts.scope(), Group.DAY)] == [DAY + ONE_DAY, DAY]

    def test_page_by_page_it_is_the_whole(self, facts):
        whole = lines(facts.scope(), Group.ALL)
        paged = [
            line
            for after in range(0, len(whole), 2)
            for line in report.table(facts.scope(), Group.ALL, after=after, limit=2).lines
        ]
        assert paged == whole

    @pytest.mark.parametrize(
        ("moment", "day"),
        [
            pytest.param(datetime(2035, 3, 8, 4, 59, tzinfo=UTC), 7, id="late in the evening"),
            pytest.param(datetime(2035, 3, 8, 5, 0, tzinfo=UTC), 8, id="at midnight"),
        ],
    )
    def test_an_opt_out_is_of_the_brands_own_day(self, shared_sandbox, moment, day):
        brand = make_brand()  # at home in New York
        make_stop(brand, make_number(), at=moment)
        count_all()
        scope = Scope(brand_ids=(brand.pk,), first=DAY, last=DAY + ONE_DAY)
        assert [line.day.day for line in lines(scope, Group.DAY)] == [day]
        on = DAY.replace(day=day)
        assert total(Scope(brand_ids=(brand.pk,), first=on, last=on)).stops == 1

    def test_is_one_statement(self, facts, statements):
        assert statements(lambda: report.table(facts.scope(), Group.ALL, limit=100)) == 1


class TestReasons:
    def test_of_refused_add_up_to_it(self, facts):
        found = report.refused(facts.scope())
        assert sum(found.values()) == total(facts.scope()).refused
        assert found["opted_out", "refused"] == 4

    def test_of_those_left_out_add_up_to_them(self, facts):
        assert report.suppressed(facts.scope()) == {"sunset": 8, "opted_out": 6}

    def test_nobody_is_left_out_by_a_provider(self, facts):
        assert report.suppressed(facts.scope(account_id=facts.lanes[0].account_id)) == {}


class TestCounted:
    def test_tells_the_first_the_last_and_the_missing(self, facts):
        SlotCount.objects.filter(slot=facts.slots[0]).update(counted_at=NOON - ONE_DAY)
        SlotCount.objects.filter(slot=facts.slots[1]).delete()
        first, last, uncounted = report.counted(facts.scope())
        assert (first, uncounted) == (NOON - ONE_DAY, 1)
        assert last > first


class TestRows:
    def ids(self, wanted, many=1000):
        listed = report_rows.stops if wanted.what == What.STOPS else report_rows.messages
        return [row_id for row_id, _ in listed(wanted, Place(), many)]

    @pytest.mark.parametrize("what", [*COUNTED, What.STOPS])
    def test_are_as_many_as_the_figure(self, facts, what):
        wanted = Wanted(scope=facts.scope(), what=what)
        assert len(set(self.ids(wanted))) == total(facts.scope()).of(what)
        assert report_rows.count(wanted) == total(facts.scope()).of(what)

    @pytest.mark.parametrize("what", [What.PLANNED, What.SENT, What.STOPS])
    def test_page_by_page_are_the_whole(self, facts, what):
        wanted, place, found = Wanted(scope=facts.scope(), what=what), Place(), []
        listed = report_rows.stops if what == What.STOPS else report_rows.messages
        whole = self.ids(wanted)
        for _ in whole:
            some = listed(wanted, place, 3)
            found += [row_id for row_id, _ in some]
            place = some[-1][1] if some else place
        assert found == whole
        assert len(found) == len(set(found))

    def test_of_people_left_out_are_slots(self, facts):
        found = report_rows.left_out(
            Wanted(scope=facts.scope(), what=What.SUPPRESSED), Place(), 100
        )
        assert [slot.slot_id for slot in found] == [slot.pk for slot in reversed(facts.slots)]
        assert sum(sum(slot.suppressed.values()) for slot in found) == 14

    def test_of_one_reason_show_that_reason(self, facts):
        wanted = Wanted(scope=facts.scope(), what=What.SUPPRESSED, reason="opted_out")
        found = report_rows.left_out(wanted, Place(), 100)
        assert [slot.suppressed for slot in found] == [{"opted_out": n} for n in (3, 2, 1, 0)]

    def test_are_found_where_nothing_was_counted_yet(self, facts):
        late = make_slot(facts.lanes[0], brand=facts.brands[0])
        message = make_message(late, facts.lanes[0], "delivered")
        Slot.objects.filter(pk=late.pk).update(state="closed", closed_at=NOON)
        assert message.pk in self.ids(Wanted(scope=facts.scope(), what=What.DELIVERED))

    def test_are_not_looked_for_where_the_figures_say_there_are_none(self, facts):
        slot = facts.slots[0]
        Slot.objects.filter(pk=slot.pk).update(state="closed", closed_at=NOON)
        message = make_message(slot, facts.lanes[0], "delivered", reason="too_long")
        wanted = Wanted(scope=facts.scope(), what=What.DELIVERED, reason="too_long")
        assert self.ids(wanted) == []
        count_all(slot)
        assert self.ids(wanted) == [message.pk]

    @pytest.mark.parametrize("what", What)
    def test_are_one_statement(self, facts, statements, what):
        wanted = Wanted(scope=facts.scope(), what=what)
        listed = {
            What.STOPS: report_rows.stops,
            What.SUPPRESSED: report_rows.left_out,
        }.get(what, report_rows.messages)
        assert statements(lambda: listed(wanted, Place(), 100)) == 1


def test_a_statement_that_takes_too_long_is_told_as_that(sandbox):
    with pytest.raises(TooSlow), report.at_most(0.05):
        report.rows("SELECT 1 FROM pg_sleep(%s)", [5])


def test_other_troubles_of_the_database_stay_what_they_are(sandbox):
    with pytest.raises(Exception, match="does not exist"), report.at_most(1):
        report.rows("SELECT nothing_of_the_kind", [])
