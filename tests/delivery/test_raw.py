"""What is kept of a callback, so that it can be read again later."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlencode

import pytest

from delivery import inbox
from providers.adapters.simpletexting import SimpleTexting
from providers.base import Callback

FIELDS = {"reportId": "R1", "type": "DELIVERY_REPORT", "values": {"messageId": "M1"}}


def as_a_form(body):
    """A callback whose content type says that it is a form, as the web server reads it."""
    fields = dict(parse_qsl(body, keep_blank_values=True))
    return Callback(method="POST", url="", headers={}, query={}, form=fields, body=body.encode())


@pytest.mark.parametrize("indent", [None, 2], ids=["in-one-line", "in-lines"])
def test_json_that_is_posted_as_a_form_is_read_again_as_json(indent):
    posted = as_a_form(f" {json.dumps(FIELDS, indent=indent)}")
    read = SimpleTexting().read_callback(inbox.from_raw(inbox.to_raw(posted)))
    assert read == SimpleTexting().read_callback(posted)
    assert read.provider_ref == "M1"


def test_xml_that_is_posted_as_a_form_is_kept():
    posted = as_a_form('<?xml version="1.0"?><report id="1"/>')
    assert inbox.from_raw(inbox.to_raw(posted)).body == posted.body


def test_the_body_of_a_form_is_kept_once_as_its_fields():
    posted = as_a_form(urlencode({"Body": "{a}", "From": "+12025550100"}))
    assert inbox.to_raw(posted) == {"method": "POST", "query": {}, "form": dict(posted.form)}
