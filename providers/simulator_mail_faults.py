"""Where the simulated mail server breaks off, and what it says there instead, as it is told."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from providers.simulator_control import BadControl, members, only, required, text, whole

STAGES = ("connect", "ehlo", "auth", "mail", "rcpt", "data", "message")
BREAKS = ("close", "hang")
REPLY = re.compile(r"[245][0-9]{2} [ -~]{1,200}")


@dataclass(kw_only=True, slots=True)
class Fault:
    at: str  # a stage
    does: str  # breaks, or a reply
    account: str | None = None  # not known before it has logged in
    count: int | None = None  # how often yet; None: for good


class Faults:
    def __init__(self) -> None:
        self._told: list[Fault] = []

    def take(self, stage: str, account: str) -> str:
        """What happens here, once; empty: nothing."""
        fault = self._find(stage, account)
        if fault is None:
            return ""
        if fault.count is not None:
            fault.count -= 1
        return fault.does

    def breaks(self, stage: str, account: str) -> bool:
        fault = self._find(stage, account)
        return fault is not None and fault.does in BREAKS

    def _find(self, stage: str, account: str) -> Fault | None:
        for fault in self._told:
            if fault.at == stage and fault.count != 0 and fault.account in {None, account}:
                return fault
        return None

    def order(self, command: dict[str, Any]) -> None:
        """{"mail": {"at": …, "do": "close", "hang" or "450 4.2.0 …", …}}, or null for none."""
        if command["mail"] is None:
            only(command, {"mail"})
            self._told.clear()
            return
        told = members(command, "mail")
        only(told, {"at", "do", "account", "count"})
        at, does = required(told, "at"), required(told, "do")
        if at not in STAGES:
            raise BadControl(f"at must be one of {', '.join(STAGES)}")
        if does not in BREAKS and not REPLY.fullmatch(does):
            raise BadControl('do must be "close", "hang" or a reply like "450 4.2.0 Try again"')
        count = whole(told, "count", at_least=1) if "count" in told else None
        self._told.append(Fault(at=at, does=does, account=text(told, "account"), count=count))

    def state(self) -> list[dict[str, object]]:
        return [asdict(fault) for fault in self._told]
