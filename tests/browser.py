"""A browser for the tests of pages: the fixture `page`, which fails a test whose page misbehaves.

A test file takes it by `pytest_plugins = ["tests.browser"]`. Where there is no browser such tests
are skipped; with SENDONCE_NEEDS_BROWSER=1 they fail instead.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
from urllib.parse import urlsplit

import pytest
from django.db import connections

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
THIS_MACHINE = {"127.0.0.1", "localhost"}
WITHOUT_HOST = {"data", "blob", "about"}
GIVEN_UP = "net::ERR_ABORTED"  # by the page itself, or because it was left
GIVEN_UP_TOO = {"htmx:sendAbort", "htmx:afterRequest"}  # of a failure it says htmx:sendError, too
SECONDS = 30


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests of a process, and its loop: to start it costs more than a page.

    Playwright leaves a running loop in this thread, in which Django keeps other connections and
    refuses to use them. So a test is beside the loop but while it has a page.
    """
    program = find_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS])
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture
def page(chromium, monkeypatch, provoked):
    """An empty page. Afterwards nothing may have gone wrong in it that was not provoked."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    browser, loop = chromium
    asyncio._set_running_loop(loop)
    opened = browser.new_page(
        viewport={"width": 1280, "height": 900}, locale="en-GB", timezone_id="America/New_York"
    )
    opened.set_default_timeout(SECONDS * 1000)
    troubles = watch(opened)
    yield opened
    opened.context.close()
    connections.close_all()  # those beside the loop
    asyncio._set_running_loop(None)
    unexpected = [one for one in troubles if not any(part in one for part in provoked)]
    assert unexpected == []


@pytest.fixture
def site(transactional_db, monkeypatch, sandbox, live_server):
    """The address of our own web server, in a sandbox at noon. Its threads keep no connection."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    return live_server.url


@pytest.fixture
def provoked():
    """Parts of the troubles that the test causes on purpose; it appends them."""
    return []


def find_browser():
    """The path of the program; skips the test, or fails it, where there is none."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program and importlib.util.find_spec("playwright"):
        return program
    missing = "Chromium (apt-get install chromium)" if not program else "the package playwright"
    end = pytest.fail if os.environ.get("SENDONCE_NEEDS_BROWSER") == "1" else pytest.skip
    return end(f"the tests of pages need {missing}")


def watch(page):
    """The list that takes every error, failed request and outside host of this page."""
    troubles = []

    def hear(message):
        if message.type == "error" and message.text not in GIVEN_UP_TOO:
            troubles.append(f"console: {message.text}")

    def fail(request):
        if request.failure != GIVEN_UP:
            troubles.append(f"failed: {request.url} {request.failure}")

    def ask(request):
        url = urlsplit(request.url)
        if url.scheme not in WITHOUT_HOST and url.hostname not in THIS_MACHINE:
            troubles.append(f"outside: {request.url}")

    page.on("console", hear)
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("requestfailed", fail)
    page.on("request", ask)
    return troubles
