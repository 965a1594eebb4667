"""Accounts with providers, their sender numbers, limits, and the routes that use them."""

from __future__ import annotations

from providers.models.accounts import (
    Channel,
    Halves,
    ProviderAccount,
    WeightChange,
    new_key,
    rest_hours,
    vault,
)
from providers.models.limits import MOST, Limit
from providers.models.numbers import SenderNumber
from providers.models.routes import Route, RouteNumber

__all__ = [
    "MOST",
    "Channel",
    "Halves",
    "Limit",
    "ProviderAccount",
    "Route",
    "RouteNumber",
    "SenderNumber",
    "WeightChange",
    "new_key",
    "rest_hours",
    "vault",
]
