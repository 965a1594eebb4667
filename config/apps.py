"""Registers the system checks, which run before every management command."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from config import checks


class Config(AppConfig):
    name = "config"

    def ready(self) -> None:
        for check in checks.ALL:
            register(check)
