"""An account with Plivo, and an answer of theirs."""

from __future__ import annotations

import json

from providers.base import ErrorClass, HttpResponse
from tests.providers.peers import an_access

RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT
CONFIG, TRANSIENT = ErrorClass.PERMANENT_CONFIG, ErrorClass.TRANSIENT
ACCOUNT = "MA000000000000000001"
SECRETS = {"auth_id": ACCOUNT, "auth_token": "plivotoken"}
UUID = "5b40a428-bfc7-4daf-9d06-726c558bf3b8"
REAL = an_access(0, kind="plivo", base_url="", secrets=SECRETS, simulated=False)
MESSAGES = f"https://api.plivo.com/v1/Account/{ACCOUNT}/Message/"


def a_response(status, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status=status, headers={}, body=content)
