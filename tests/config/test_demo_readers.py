from __future__ import annotations

import pytest

from brands.models import Brand
from config import demo_readers
from config.demo_readers import Readers
from delivery.models import Attempt, Message
from links.models import Click, ShortLink
from tests.rows import MAKERS

pytest_plugins = ["tests.browser"]


@pytest.fixture
def stage(site, monkeypatch):
    """A web server on which every look of the readers leads to clicks."""
    monkeypatch.setattr(demo_readers, "EVERY", 0.0)
    monkeypatch.setattr(demo_readers, "SHARE", 1.0)
    return site


def delivered(site):
    """A message that was delivered, with a link on this server's domain."""
    message = MAKERS[Attempt]().message
    Message.objects.filter(pk=message.pk).update(status="accepted")
    Message.objects.filter(pk=message.pk).update(status="delivered")
    Brand.objects.update(short_domain=site.partition("//")[2])
    code = f"abcdef{message.pk % 100:02d}".replace("0", "x").replace("1", "y")
    ShortLink.objects.filter(pk=Message.objects.get(pk=message.pk).link_id).update(code=code)
    return message


class TestReaders:
    def test_follow_the_links_of_what_was_delivered(self, stage):
        readers = Readers.of(stage, seed=1)
        delivered(stage)
        readers.tend()
        assert readers.clicks == Click.objects.count() == 1
        assert "Mobile" in Click.objects.get().agent

    def test_read_a_message_once(self, stage):
        readers = Readers.of(stage, seed=1)
        delivered(stage)
        readers.tend()
        readers.tend()
        assert Click.objects.count() == 1

    def test_leave_alone_what_came_before_them_or_never_arrived(self, stage):
        delivered(stage)
        readers = Readers.of(stage, seed=1)
        MAKERS[Attempt]()
        readers.tend()
        assert not Click.objects.exists()

    def test_do_not_insist_when_the_web_is_away(self, stage):
        readers = Readers.of("http://127.0.0.1:9", seed=1)
        delivered(stage)
        readers.tend()
        assert readers.clicks == 0
