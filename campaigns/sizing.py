"""How many segments a text takes once it is filled in: for one person, and at most for a list.

The largest case is an upper bound: the longest value of each name, whoever has it, and the largest
alphabet that any of those values needs.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError, connection, transaction

from brands.models import Brand
from campaigns.rendering import NAMES, PLACEHOLDER, Mail, fill_in, fill_in_mail, with_unsubscribe
from leads.models import Lead
from links.codes import link_url
from providers import segments

logger = logging.getLogger(__name__)

SAMPLE_CODE = "abcdefgh"
SAMPLE_REF = "abcdefghijklmnopqrstuv"
FROM_LEAD = NAMES - {"brand", "link"}
PATIENCE_MS = 1_000
KEPT_SECONDS = 60

# A value travels behind its length, so that one pass finds the longest of each kind. In GSM-7 some
# characters count twice; in UCS-2 those beyond the basic plane do.
LONGEST = """
max(to_char(2 * length({name}) - length(translate({name}, %(twice)s, '')), 'FM0000') || {name}
    COLLATE "C") FILTER (WHERE {name} !~ %(wide)s),
max(to_char(length({name}) + length(regexp_replace({name}, %(basic)s, '', 'g')), 'FM0000') || {name}
    COLLATE "C") FILTER (WHERE {name} ~ %(wide)s)
"""
OF_LIST = """
SELECT {columns} FROM leads_listentry e JOIN leads_lead l ON l.id = e.lead_id
WHERE e.lead_list_id = %(list)s
"""
WIDE = f"[^{re.escape(segments.GSM_BASIC + segments.GSM_EXTENSION)}]"
BASIC = "[^\U00010000-\U0010ffff]"


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest value of each name among a list's people, in GSM-7 and beyond it."""

    plain: Mapping[str, str]
    wide: Mapping[str, str]


NOBODY = Longest({}, {})


def names_in(text: str) -> list[str]:
    """The names of the text that a person's own values fill in, in their order."""
    return list(dict.fromkeys(m[1] for m in PLACEHOLDER.finditer(text) if m[1] in FROM_LEAD))


def values_of(lead: Lead) -> dict[str, str]:
    """What a person's own row gives to a text."""
    return {name: getattr(lead, name) for name in sorted(FROM_LEAD)}


def sample_link(brand: Brand) -> str:
    """A link as long as a real one; its code leads nowhere."""
    return link_url(brand.short_domain, SAMPLE_CODE, scheme=settings.SHORT_LINK_SCHEME)


def said(text: str, values: Mapping[str, str], brand: Brand) -> str:
    """The words as they leave, with link and opt-out line. Raises MissingValue."""
    filled = fill_in(text, {**values, "brand": brand.name, "link": sample_link(brand)}).strip()
    line = brand.opt_out_line
    return filled if line in filled else f"{filled} {line}"


def said_by_mail(mail: Mail, values: Mapping[str, str], brand: Brand) -> Mail:
    """The same of an e-mail, with its link to unsubscribe. Raises MissingValue."""
    out = f"{settings.PUBLIC_BASE_URL}/u/{SAMPLE_REF}"
    ours = {"brand": brand.name, "link": sample_link(brand), "unsubscribe": out}
    return with_unsubscribe(fill_in_mail(mail, {**values, **ours}), out)


def largest(text: str, brand: Brand, longest: Longest) -> int:
    """Segments of the text at most, for people whose values are no longer than these."""
    cases = _worst_values(text, longest)
    return max(segments.count(said(text, values, brand)).parts for values in cases)


def _worst_values(text: str, longest: Longest) -> Iterator[dict[str, str]]:
    """The longest of all within GSM-7, and for each name beyond it the longest with that one."""
    names = names_in(text)
    fall_backs: dict[str, list[str]] = {name: [] for name in names}
    for name, fall_back in PLACEHOLDER.findall(text):
        fall_backs.get(name, []).append(fall_back)
    plain = {n: _longest_of([longest.plain.get(n, ""), *fall_backs[n]]) for n in names}
    yield plain
    any_alphabet = {n: _longest_of([plain[n], longest.wide.get(n, "")]) for n in names}
    for name in names:
        if name in longest.wide:
            yield {**any_alphabet, name: longest.wide[name]}


def _longest_of(values: Iterable[str]) -> str:
    """A name that nobody has a value for still takes a character."""
    return max(values, key=lambda value: segments.count(value).units) or "-"


def longest_values(list_id: int, text: str) -> Longest:
    """The longest values of the text's names in the list: one pass over it, and none without."""
    names = names_in(text)
    if not names:
        return NOBODY
    columns = ", ".join(LONGEST.format(name=f"l.{name}") for name in names)
    with connection.cursor() as cursor:
        values: dict[str, int | str] = {"list": list_id, "twice": segments.GSM_EXTENSION}
        values |= {"wide": WIDE, "basic": BASIC}
        cursor.execute(OF_LIST.format(columns=columns), values)
        found = [value and value[4:] for value in cursor.fetchone()]
    plain, wide = (dict(zip(names, found[at::2], strict=True)) for at in (0, 1))
    return Longest(
        {name: value for name, value in plain.items() if value},
        {name: value for name, value in wide.items() if value},
    )


def longest_values_soon(list_id: int, text: str) -> Longest | None:
    """The same for a page that is looked at: a minute old at most, and None after a second."""
    names = ",".join(sorted(names_in(text)))
    if not names:
        return NOBODY
    key = f"longest:{list_id}:{hashlib.blake2b(names.encode(), digest_size=8).hexdigest()}"
    kept = _kept(key)
    if kept is None:
        kept = _found_soon(list_id, text)
        _keep(key, kept)
    return Longest(*kept) if kept else None


Kept = tuple[Mapping[str, str], Mapping[str, str]] | tuple[()]
TOO_SLOW: Kept = ()


def _found_soon(list_id: int, text: str) -> Kept:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
            longest = longest_values(list_id, text)
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    except OperationalError:
        return TOO_SLOW
    return longest.plain, longest.wide


def _kept(key: str) -> Kept | None:
    try:
        kept: Kept | None = cache.get(key)
    except Exception:  # noqa: BLE001 - whatever the cache's client raises: it is only a cache
        return None
    return kept


def _keep(key: str, found: Kept) -> None:
    """A list that took too long is not asked again with each letter that is typed."""
    try:
        cache.set(key, found, KEPT_SECONDS)
    except Exception:  # noqa: BLE001 - as above
        logger.warning("the longest values are not kept")
