"""What a definition says of texts and of answers: which letters go, what an answer means.

Rules are tried from the top; what none of them knows is Unknown, and so is every 5xx.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from providers import base, segments
from providers.base import ErrorClass, Fault
from providers.declared_paths import Document, Unreadable, read

LONGEST_CODE = 60  # characters that are kept of a provider's code
LONGEST_MATCHED = 2_000  # characters of a field that a rule looks at

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ALPHABETS: Mapping[str, Callable[[str], bool]] = {
    "unicode": lambda text: True,
    "gsm7": segments.is_gsm,
    "ascii": str.isascii,
}


class Letters:
    """Which texts can be carried, and what is written for letters that cannot."""

    def __init__(self, plain: Mapping[str, Any], *, is_xml: bool) -> None:
        self.max_chars: int = plain.get("max_chars", 1_600)
        self._instead: Mapping[str, str] = plain.get("replacements", {})
        longest_first = sorted(self._instead, key=len, reverse=True)
        self._replaced = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._is_spoken = ALPHABETS[plain.get("alphabet", "unicode")]
        self._characters = frozenset(plain.get("characters", ""))
        self._is_xml = is_xml

    def fit(self, text: str) -> str | None:
        plainer = self._replaced.sub(lambda found: self._instead[found[0]], text)
        if not self._is_spoken(plainer) or (self._is_xml and _NOT_IN_XML.search(plainer)):
            return None
        is_carried = not self._characters or self._characters.issuperset(plainer)
        return plainer if is_carried else None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a rule makes of a code."""

    error_class: ErrorClass
    fault: Fault
    opted_out: bool
    perhaps_opted_out: bool  # nobody is on a guess, nor is their number taken to be dead
    carrier_blocked: bool


def _meaning(rule: Mapping[str, Any]) -> Meaning:
    return Meaning(
        ErrorClass(rule["class"]),
        Fault(rule.get("fault", Fault.ACCOUNT)),
        rule.get("opted_out") == "yes",
        rule.get("opted_out") == "maybe",
        rule.get("carrier_blocked", False),
    )


def fits_words(rule: Mapping[str, Any], said: str | None) -> bool:
    """Whether a field says what the rule names, by `equals` or `regex`; one of them is there."""
    if said is None:
        return False
    if "equals" in rule:
        return said in ([rule["equals"]] if isinstance(rule["equals"], str) else rule["equals"])
    return re.search(rule["regex"], said[:LONGEST_MATCHED]) is not None


def meaning_of(rules: list[Mapping[str, Any]], code: str) -> Meaning | None:
    """Of a code in a report, by rules that have no path; None where none knows it."""
    found = next((rule for rule in rules if fits_words(rule, code)), None)
    return None if found is None else _meaning(found)


class Answers:
    """Judges the answer to a send."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        success = plain["success"]
        self._format: str = success.get("format", "json")
        self._statuses = frozenset(success.get("status_in", range(200, 300)))
        self._required: Mapping[str, str] = success.get("require", {})
        self._unless: Mapping[str, str] = success.get("unless", {})
        self._ids: list[str] = success.get("id", [])
        self._is_ours_enough = success.get("id_fallback") == "ref"
        self._rules: list[Mapping[str, Any]] = plain.get("errors", [])
        self._code_path: str = plain.get("error_code", "")

    def read(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        if response.status >= 500:
            return base.Unknown(str(response.status))
        document = self._document(response)
        if document is not None and self._is_success(response.status, document):
            return self._accepted(send, document)
        for rule in self._rules:
            if _applies(rule, response.status, document):
                return self._refused(rule, response, document)
        return base.Unknown(self._code(response, document))

    def _document(self, response: base.HttpResponse) -> Document | None:
        """None where it is not in their format: then only its status can be judged."""
        try:
            return read(response.body, self._format)
        except Unreadable:
            return None

    def _is_success(self, status: int, document: Document) -> bool:
        has_all = all(document.get(path) == said for path, said in self._required.items())
        has_none = not any(
            re.search(words, (document.get(path) or "")[:LONGEST_MATCHED])
            for path, words in self._unless.items()
        )
        return status in self._statuses and has_all and has_none

    def _accepted(self, send: base.SendRequest, document: Document) -> base.Outcome:
        found = next((given for path in self._ids if (given := document.get(path))), None)
        if found is None and not self._is_ours_enough:
            return base.Unknown("no id in the answer")
        return base.Accepted(found or send.ref)

    def _code(self, response: base.HttpResponse, document: Document | None) -> str:
        found = document.get(self._code_path) if document and self._code_path else None
        return (found or str(response.status))[:LONGEST_CODE]

    def _refused(
        self, rule: Mapping[str, Any], response: base.HttpResponse, document: Document | None
    ) -> base.Outcome:
        meaning, code = _meaning(rule), self._code(response, document)
        match meaning.error_class:
            case ErrorClass.THROTTLED:
                wait = _retry_after(rule, response, document)
                return base.NotSent(code, throttled=True, retry_after=wait)
            case ErrorClass.PERMANENT_CONFIG:
                return base.NotSent(code, fault=meaning.fault)
            case ErrorClass.PERMANENT_RECIPIENT | ErrorClass.PERMANENT_CONTENT:
                return base.Rejected(
                    meaning.error_class,
                    code,
                    opted_out=meaning.opted_out,
                    carrier_blocked=meaning.carrier_blocked,
                    only_here=meaning.perhaps_opted_out,
                )
        return base.Unknown(code)


def _applies(rule: Mapping[str, Any], status: int, document: Document | None) -> bool:
    wanted = rule.get("http_status", status)
    if status not in (wanted if isinstance(wanted, list) else [wanted]):
        return False
    if "path" not in rule:
        return True
    return document is not None and fits_words(rule, document.get(rule["path"]))


def _retry_after(
    rule: Mapping[str, Any], response: base.HttpResponse, document: Document | None
) -> float | None:
    """Seconds; None where it does not say, or in a header that the transport reads itself."""
    said = None
    if "retry_after_header" in rule:
        name = rule["retry_after_header"].lower()
        headers = {key.lower(): value for key, value in response.headers.items()}
        said = headers.get(name)
    elif "retry_after_path" in rule and document is not None:
        said = document.get(rule["retry_after_path"])
    try:
        seconds = float(said) if said else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None
