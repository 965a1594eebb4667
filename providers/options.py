"""What an account may choose of how its provider is used, in words; nothing of it is secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """A choice between a few words. The first is the usual one."""

    label: str
    choices: Mapping[str, str]  # the word, and what it means
    help_text: str = ""

    @property
    def usual(self) -> str:
        return next(iter(self.choices))
