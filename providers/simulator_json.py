"""What the simulated providers that speak JSON read of it."""

from __future__ import annotations

import json


def fields_of(body: bytes) -> dict[str, str]:
    """The members that have a text or number; none where it is no JSON object."""
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(plain, dict):
        return {}
    return {name: str(value) for name, value in plain.items() if isinstance(value, str | int)}
