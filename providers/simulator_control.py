"""Commands to the simulator: one order each, read strictly; a mistake is told in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MAX_NUMBER = 1_000_000
ALSO_MEMBERS = {"account", "burst"}  # orders whose names are also members of others


class BadControl(ValueError):
    """A command to the simulator that it does not understand; nothing was changed."""


# What a part of the simulator does when told; it may give the answer to the command.
Order = Callable[[dict[str, Any]], dict[str, object] | None]


def obey(command: object, orders: Mapping[str, Order]) -> dict[str, object] | None:
    """Do the one order that the command names. Raises BadControl, and then nothing has changed."""
    if not isinstance(command, dict):
        raise BadControl("the command must be a JSON object")
    chosen = [name for name in orders if name in command]
    if len(chosen) > 1:
        chosen = [name for name in chosen if name not in ALSO_MEMBERS]
    if len(chosen) != 1:
        raise BadControl(f"give exactly one of {', '.join(orders)}")
    return orders[chosen[0]](command)


def only(command: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(command) - known)
    if unknown:
        raise BadControl(f"not known here: {', '.join(unknown)}")


def number(command: dict[str, Any], name: str, *, at_least: float) -> float:
    value = command[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not at_least <= value <= MAX_NUMBER:
        raise BadControl(f"{name} must be a number from {at_least} to {MAX_NUMBER}")
    return float(value)


def whole(command: dict[str, Any], name: str, *, at_least: int) -> int:
    if not isinstance(command[name], int):
        raise BadControl(f"{name} must be a whole number of at least {at_least}")
    return int(number(command, name, at_least=at_least))


def share(command: dict[str, Any], name: str) -> float:
    """A share from 0 to 1; 0 when it is not given."""
    value = number({name: 0, **command}, name, at_least=0)
    if value > 1:
        raise BadControl(f"{name} must be a share from 0 to 1")
    return value


def flag(command: dict[str, Any], name: str, *, default: bool) -> bool:
    value = command.get(name, default)
    if not isinstance(value, bool):
        raise BadControl(f"{name} must be true or false")
    return value


def seconds(command: dict[str, Any], name: str, *, default_ms: float) -> float:
    """What is given in milliseconds, in seconds."""
    return number({name: default_ms, **command}, name, at_least=0) / 1000


def members(command: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under this name, which is all that the command may have."""
    only(command, {name})
    value = command[name]
    if not isinstance(value, dict):
        raise BadControl(f"{name} must be an object")
    return value


def required(command: dict[str, Any], name: str) -> str:
    value = text(command, name)
    if not value:
        raise BadControl(f"{name} is missing")
    return value


def text(command: dict[str, Any], name: str) -> str | None:
    value = command.get(name)
    if value is not None and not isinstance(value, str):
        raise BadControl(f"{name} must be a text")
    return value
