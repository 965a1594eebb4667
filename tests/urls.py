"""Every address of ours, flat: what the access matrix is generated from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver


class Address(NamedTuple):
    """`name` with its namespaces; `needs` are the names of its arguments."""

    name: str
    needs: tuple[str, ...]


def addresses() -> list[Address]:
    return list(_walk(get_resolver().url_patterns, (), ()))


def _walk(patterns, spaces, needs) -> Iterator[Address]:
    for one in patterns:
        here = (*needs, *one.pattern.regex.groupindex)
        if isinstance(one, URLResolver):
            inner = (*spaces, one.namespace) if one.namespace else spaces
            yield from _walk(one.url_patterns, inner, here)
        elif isinstance(one, URLPattern):
            yield Address(":".join((*spaces, one.name or str(one.pattern))), here)
