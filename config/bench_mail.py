"""What readers do about the e-mails of the benchmark of adapters: each of the ways out, some times.

They act by the simulator's pretend mailbox, as a person would. It knows readers, not what we make
of it.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from config.bench_reports import ASK_SECONDS
from config.demo_processes import HOST
from delivery import sql

# By what the mailbox calls them: the words for them in the simulator's ledger.
WAYS_OUT: Mapping[str, str] = {
    "complain": "complaint",
    "unsubscribe": "one-click",
    "unsubscribe-by-mail": "unsubscribed",
}
CLICK = WAYS_OUT["unsubscribe"]
EACH = 3  # readers who take it
READERS = """
SELECT p.email FROM delivery_message m
JOIN campaigns_campaign c ON c.id = m.campaign_id AND c.channel = 'email'
JOIN compliance_person p ON p.id = m.person_id
WHERE m.status = 'delivered' AND p.opted_out_at IS NULL ORDER BY m.id LIMIT %s
"""


def get_out(port: int) -> int:
    """Let some who have their e-mail get out, each by one way; returns how many did.

    Raises OSError when the simulator does not do it.
    """
    readers = [address for (address,) in sql.rows(READERS, EACH * len(WAYS_OUT))]
    for at, address in enumerate(readers):
        mails = _ask(port, f"data?address={quote(address)}")["mails"]
        _ask(port, list(WAYS_OUT)[at % len(WAYS_OUT)], {"seq": mails[0]["seq"]})
    return len(readers)


def _ask(port: int, path: str, command: Mapping[str, object] | None = None) -> dict[str, Any]:
    body = json.dumps(command).encode() if command else None
    with urllib.request.urlopen(
        f"http://{HOST}:{port}/mail/{path}", data=body, timeout=ASK_SECONDS
    ) as answer:
        said: dict[str, Any] = json.loads(answer.read())
    return said
