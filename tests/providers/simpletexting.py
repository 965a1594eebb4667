"""An account with SimpleTexting, and a refusal of theirs."""

from __future__ import annotations

from datetime import UTC, datetime

from providers.adapters.simpletexting import SimpleTexting
from providers.base import Access
from tests.providers.peers import an_access

ST = SimpleTexting()
TO, FROM = "+15005550006", "+15005550001"
TOKEN = "st-1"
ACCESS = Access(kind="simpletexting", secrets={"api_token": TOKEN})
MESSAGES = "https://api-app2.simpletexting.com/v2/api/messages"
ID, REPORT_ID = "507f191e810c19729de860ea", "507f1f77bcf86cd799439011"
NOON = datetime(2035, 3, 7, 17, tzinfo=UTC)


def simulated(port, token=TOKEN):
    return an_access(port, kind="simpletexting", secrets={"api_token": token})


def a_refusal(message, code="ERR_X", details=()):
    return {
        "status": "BAD_REQUEST",
        "errorCode": code,
        "code": code,
        "message": message,
        "errorDetails": list(details),
        "path": "/v2/api/messages",
        "timestamp": 1786579200.123456789,
    }
