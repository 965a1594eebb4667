"""O7: daily caps and person limits, worked out again from the attempts; and the cap counters.

An attempt counts from its intent on, unless nothing left or the provider refused it. The replies
to STOP, HELP and JOIN count on nothing, more-jobs answers on the caps; any other would on both. A
test that staff ask for on their own phone counts on both, but may come however soon, unless the
phone is on a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from reporting.oracle.checks import CannotCheck, Check, Found, Ids, Scope, compose, some, sql

PARTS = {
    "counts": "a.outcome IN ('', 'accepted', 'unknown')",
    "on_caps": "(m.kind <> 'reply' OR m.reply_kind NOT IN ('stop', 'help', 'join'))",
    "on_person": "(m.kind <> 'reply' OR m.reply_kind NOT IN ('stop', 'help', 'join', 'more-jobs'))",
    "tolerance": "interval '1 second'",  # times may have been stored as whole seconds
}

BRAND_CAPS = """
    SELECT m.brand_id AS brand, a.brand_day AS day, count(*) AS messages, b.daily_cap AS cap
    FROM delivery_attempt a
    JOIN delivery_message m ON m.id = a.message_id
    JOIN brands_brand b ON b.id = m.brand_id
    WHERE $counts AND $on_caps AND a.brand_day >= %(since)s::date
    GROUP BY m.brand_id, a.brand_day, b.daily_cap HAVING count(*) > b.daily_cap
"""

CAMPAIGN_CAPS = """
    SELECT m.campaign_id AS campaign, a.brand_day AS day, count(*) AS messages, c.daily_cap AS cap
    FROM delivery_attempt a
    JOIN delivery_message m ON m.id = a.message_id
    JOIN campaigns_campaign c ON c.id = m.campaign_id
    WHERE $counts AND $on_caps AND a.brand_day >= %(since)s::date
    GROUP BY m.campaign_id, a.brand_day, c.daily_cap HAVING count(*) > c.daily_cap
"""

# Whatever was sent by a number, an account or a brand since its limit was set, on each of the
# limit's days; of a carrier's limit what was counted on it, for people change carriers. Carriers
# and providers count answers too, which alone may go past a limit's end.
DAY_LIMITS = """
    WITH bound AS (
        SELECT l.id, l.amount, m.kind,
               CASE l.unit WHEN 'messages' THEN 1 ELSE a.segments END AS cost,
               (a.intent_at AT TIME ZONE coalesce(nullif(l.zone, ''), b.zone))::date AS day
        FROM providers_limit l
        LEFT JOIN brands_brand b ON b.id = l.brand_id
        JOIN delivery_attempt a ON a.intent_at >= l.counted_at AND a.intent_at >= %(since)s
        JOIN delivery_message m ON m.id = a.message_id
        JOIN providers_sendernumber n ON n.id = a.number_id
        WHERE $counts AND l.per = 'day' AND CASE
            WHEN l.carrier <> '' THEN a.counted_on::text[] && ARRAY[l.unit || ':' || l.id || ':'
                || to_char((a.intent_at AT TIME ZONE coalesce(nullif(l.zone, ''), b.zone))::date,
                           'YYYY-MM-DD')]
            ELSE a.number_id = l.number_id
                 OR (a.account_id = l.account_id OR m.brand_id = l.brand_id)
                    AND (l.kind IN ('', n.kind) OR l.kind = 'long_code' AND n.kind = 'service')
            END
    )
    SELECT id AS daily, day, sum(cost)::bigint AS used, amount::bigint AS allowed
    FROM bound WHERE kind <> 'reply' GROUP BY id, day, amount HAVING sum(cost) > amount
"""

# Sends that came less than $span after the one that is $limit sends before them.
WITHIN = """
    SELECT message_id AS message, person_id AS person
    FROM (SELECT m.person_id, a.message_id, a.intent_at,
                 a.intent_at - lag(a.intent_at, $limit) OVER sends AS pause, $span AS span,
                 coalesce(t.is_test AND NOT t.to_a_lead, false) AS is_test_at_will
          FROM delivery_attempt a
          JOIN delivery_message m ON m.id = a.message_id
          LEFT JOIN delivery_singletext t ON t.message_id = m.id AND m.kind = 'single'
          CROSS JOIN brands_installation i
          WHERE $counts AND $on_person
            AND a.intent_at >= %(since)s::timestamptz - interval '7 days'
          WINDOW sends AS (PARTITION BY m.person_id ORDER BY a.intent_at, a.id)) sent
    WHERE pause + $tolerance < span AND NOT is_test_at_will AND intent_at >= %(since)s
"""
DAY = {"limit": "i.persons_per_day::int", "span": "interval '24 hours'"}
WEEK = {"limit": "i.persons_per_week::int", "span": "interval '7 days'"}
GAP = {"limit": "1", "span": "make_interval(mins => i.person_gap_minutes)"}

DAYS = """
    SELECT m.brand_id, b.zone, a.brand_day, min(a.intent_at), max(a.intent_at)
    FROM delivery_attempt a
    JOIN delivery_message m ON m.id = a.message_id
    JOIN brands_brand b ON b.id = m.brand_id
    WHERE $on_caps AND a.intent_at >= %(since)s
    GROUP BY m.brand_id, b.zone, a.brand_day
"""

# A limit's counter is whole from the first day that began after it was set.
COUNTERS = """
    WITH counted AS (
        SELECT m.brand_id, m.campaign_id, a.brand_day, count(*) AS messages
        FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
        WHERE $counts AND $on_caps AND a.brand_day > %(since)s::date
        GROUP BY m.brand_id, m.campaign_id, a.brand_day
    ), counted_whole AS (
        SELECT id::text AS id, (counted_at + interval '14 hours') AT TIME ZONE 'UTC' AS after
        FROM providers_limit WHERE per = 'day' AND counted_at IS NOT NULL
    ), recount AS (
        SELECT 'brand:' || brand_id || ':' || to_char(brand_day, 'YYYY-MM-DD') AS key,
               sum(messages)::bigint AS messages
        FROM counted GROUP BY 1
        UNION ALL
        SELECT 'campaign:' || campaign_id || ':' || to_char(brand_day, 'YYYY-MM-DD'),
               sum(messages)::bigint
        FROM counted WHERE campaign_id IS NOT NULL GROUP BY 1
        UNION ALL
        SELECT key, sum(CASE split_part(key, ':', 1) WHEN 'segments' THEN segments ELSE 1 END)
        FROM (SELECT unnest(a.counted_on) AS key, a.segments FROM delivery_attempt a
              WHERE $counts AND a.brand_day >= %(since)s::date) limited
        WHERE right(key, 10) > to_char(%(since)s::date, 'YYYY-MM-DD')
          AND EXISTS (SELECT 1 FROM counted_whole WHERE id = split_part(key, ':', 2)
                      AND right(key, 10) > to_char(after, 'YYYY-MM-DD'))
        GROUP BY 1
    ), kept AS (
        SELECT key, used FROM delivery_capcounter
        WHERE (key ~ '^(brand|campaign):[0-9]+:[0-9]{4}-[0-9]{2}-[0-9]{2}$$'
               OR key ~ '^(messages|segments):[0-9]+:[0-9]{4}-[0-9]{2}-[0-9]{2}$$'
                  AND EXISTS (SELECT 1 FROM counted_whole WHERE id = split_part(key, ':', 2)
                              AND right(key, 10) > to_char(after, 'YYYY-MM-DD')))
          AND right(key, 10) > to_char(%(since)s::date, 'YYYY-MM-DD')
    )
    SELECT key AS counter, coalesce(kept.used, 0) AS used,
           coalesce(recount.messages, 0) AS recounted
    FROM kept FULL JOIN recount USING (key)
    WHERE coalesce(kept.used, 0) <> coalesce(recount.messages, 0)
"""

counters_recounted = sql("a cap's counter is not what a recount gives", COUNTERS, **PARTS)


def counted_on_another_day(scope: Scope) -> Found:
    """Attempts that were counted on another day than the brand's own day of their intent."""
    return some("counted on another day than the brand's own", _other_days(scope), scope)


def _other_days(scope: Scope) -> Iterator[Ids]:
    with connection.cursor() as cursor:
        cursor.execute(compose(DAYS, **PARTS), {"since": scope.since})
        groups = cursor.fetchall()
    for brand, zone, day, first, last in groups:
        begins, ends = _day(day, zone), _day(day + timedelta(days=1), zone)
        if not begins <= first <= last < ends:
            yield {"brand": brand, "day": str(day)}


def _day(day: date, zone: str) -> datetime:
    try:
        return datetime.combine(day, time(0), tzinfo=ZoneInfo(zone))
    except (ValueError, KeyError, OSError) as error:  # an unknown name is a KeyError
        raise CannotCheck("a brand's zone cannot be read") from error


O7 = Check(
    "O7",
    "no daily cap and no limit of a person was exceeded",
    (
        sql("a brand's daily cap was exceeded", BRAND_CAPS, **PARTS),
        sql("a campaign's daily cap was exceeded", CAMPAIGN_CAPS, **PARTS),
        sql("a limit of a day was exceeded", DAY_LIMITS, **PARTS),
        sql("more to a person in 24 hours than allowed", WITHIN, **PARTS, **DAY),
        sql("more to a person in 7 days than allowed", WITHIN, **PARTS, **WEEK),
        sql("too soon after the last one to the same person", WITHIN, **PARTS, **GAP),
        counted_on_another_day,
    ),
)
