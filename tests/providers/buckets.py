"""Token buckets of one installation, with a clock that stands still where a test wants it."""

from __future__ import annotations

import uuid

from providers import rates

FRESH = rates.Mark(attempt_id=0, opt_out_id=0)


class Bench:
    """One installation's buckets. With `frozen`, their clock moves only when told."""

    def __init__(self, redis):
        self.redis = redis
        self.installation = uuid.uuid4().hex
        self.now = 1_000_000.0

    def wait(self, seconds):
        self.now += seconds
        self.set_clock()

    def set_clock(self):
        seconds, micros = divmod(round(self.now * 1_000_000), 1_000_000)
        key = f"sendonce:{{{self.installation}}}:mark:clock"
        self.redis.hset(key, mapping={"seconds": seconds, "micros": micros})

    def grant(self, *wants, lane=10.0, account=None, brand=None, mark=FRESH, **returned):
        return rates.grant(
            self.redis,
            installation=self.installation,
            wants=wants,
            limits=rates.Limits(lanes={1: lane, 2: lane}, accounts={1: account}, brands={1: brand}),
            returned=rates.Returned(**returned),
            read_mark=mark if callable(mark) else lambda: mark,
        )

    def rows(self, *wants, **limits):
        return self.grant(*wants, **limits).rows

    def fill(self, **limits):
        """Let every bucket of these limits start and become full."""
        for _ in range(2):
            self.grant(want(rows=0, lane=1), want(rows=0, lane=2), **limits)
            self.wait(10_000)

    def bucket_keys(self):
        return self.redis.keys(f"sendonce:{{{self.installation}}}:*:lane:*")


def want(rows=1000, *, lane=1, segments=1, reply=False):
    return rates.Want(
        queue=7,
        lane_id=lane,
        account_id=1,
        brand_id=1,
        rows=rows,
        segments_each=segments,
        is_reply=reply,
    )
