from __future__ import annotations

import pytest

from config import bench_compare, bench_stage
from delivery import planning
from delivery.models import Due, Message


def a_way(messages_per_second: float, *, is_complete: bool = True) -> dict[str, object]:
    return {"messages_per_second": messages_per_second, "is_complete": is_complete}


@pytest.mark.django_db
def test_each_way_gets_its_own_share_and_ours_the_rest():
    bench_stage.make(460, simulator="http://127.0.0.1:9")
    planned = planning.plan_open_slots()
    first, second = bench_compare.take_out(0), bench_compare.take_out(1)
    assert not set(first) & set(second)
    assert len(first) == pytest.approx(planned / bench_compare.SHARES, abs=1)
    assert Due.objects.count() == planned - len(first) - len(second)


@pytest.mark.django_db
def test_a_share_is_like_the_rest():
    bench_stage.make(2_000, simulator="http://127.0.0.1:9")
    planning.plan_open_slots()
    share = Message.objects.filter(pk__in=bench_compare.take_out(0))
    brands = set(share.values_list("brand_id", flat=True))
    assert len(brands) == bench_stage.BRANDS
    assert {bool(one) for one in share.values_list("person__sticky", flat=True)} == {True, False}


def test_celery_takes_part_only_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(bench_compare.importlib.util, "find_spec", lambda name: None)
    assert [way.name for way in bench_compare.ways([3, 20])] == [
        "rq_with_3_workers",
        "rq_with_20_workers",
    ]
    monkeypatch.setattr(bench_compare.importlib.util, "find_spec", lambda name: object())
    assert [way.engine for way in bench_compare.ways([3])] == ["rq", "celery"]


def test_ours_is_set_against_each_way():
    found = {"rq": a_way(100), "celery": a_way(500), "ours": a_way(2_000)}
    told = bench_compare.ratios(found)
    assert told["times_as_fast_as"] == {"rq": 20.0, "celery": 4.0}
    assert list(told["is_goal_met"].values()) == [True, False]


@pytest.mark.parametrize(
    ("trouble", "is_well"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"is_goal_met": {"rq": False}}, True, id="slow is not wrong"),
        pytest.param({"rq": a_way(1, is_complete=False)}, False, id="a job failed"),
        pytest.param({"ours": a_way(1, is_complete=False)}, False, id="a worker died"),
        pytest.param({"duplicates": 1}, False, id="a duplicate"),
        pytest.param({"is_clean": False}, False, id="the ledger disagrees"),
    ],
)
def test_what_makes_a_comparison_fail(trouble: dict[str, object], is_well: bool):
    found = {"rq": a_way(1), "ours": a_way(20), "duplicates": 0, "is_clean": True, **trouble}
    assert bench_compare.is_well(found) is is_well
