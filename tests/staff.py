"""Users by role, their log-in, and pictures of pages for whoever wants to look at them.

SENDONCE_SHOTS=folder keeps a picture of every page that a test shows by `shoot`.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from brands.models import Brand, Membership

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
SHOTS = "SENDONCE_SHOTS"

numbers = count(1)


def make_user(brand: Brand | None = None, role: str = "", **fields: object) -> User:
    """A member of staff with this role for the brand; without a brand, a superuser."""
    fields = {"username": f"staff{next(numbers)}", "is_staff": True, **fields}
    user = User.objects.create(is_superuser=brand is None, **fields)
    if brand is not None:
        Membership.objects.create(user=user, brand=brand, role=role)
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def log_in(page, address: str, user: User) -> None:
    """Give the browser's page a session of this user; `address` is the server's."""
    session = client_of(user).cookies[settings.SESSION_COOKIE_NAME].value
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address}
    page.context.add_cookies([cookie])


def shoot(page, name: str) -> None:
    """Pictures at desktop and phone width, where they are wanted; the page must fit a phone."""
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(150)  # until the page has settled at its new width
    is_too_wide = "document.documentElement.scrollWidth > window.innerWidth + 1"
    assert not page.evaluate(is_too_wide), f"{name} is wider than a phone"
    if folder := os.environ.get(SHOTS):
        page.screenshot(path=Path(folder) / f"{name}-phone.png", full_page=True)
    page.set_viewport_size(DESKTOP)
    if folder:
        page.wait_for_timeout(150)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
