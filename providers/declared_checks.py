"""What is wrong with a definition, in sentences that name the key and say what to do.

Its shape is judged by a JSON Schema (`declared_schema.py`), all that a schema cannot know by the
functions below: places, secrets, paths, words and expressions. It decides nothing at run time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from providers.addresses import AddressRefused, allowed
from providers.declared_checks_body import body_problems
from providers.declared_paths import why_no_path
from providers.declared_schema import listed, shape_problems
from providers.declared_signatures import SIGNED_PLACES
from providers.declared_templates import (
    LOOK_UP_PLACES,
    SECRET,
    SEND_PLACES,
    Template,
    names_in,
    texts_in,
)
from providers.declared_webhooks import REPORT_PLACES, TEXT_PLACES

LARGEST = 64 * 1024  # characters
MOST_SHOWN = 20
DEEPEST = 20  # groups within groups
OURS_ALONE = {"host", "content-length", "transfer-encoding", "connection", "user-agent"}
RECIPIENT_PLACES = {"to", "to_e164", "to_digits", "to_national10"}

_BRACES = re.compile(r"[{}]")
_URL = re.compile(r"\{base\}(?:/[^/?#\s]+)+")

Found = Iterator[str]
Plain = Mapping[str, Any]


class _Twice(ValueError):
    """A key stands twice in one group, so that one of the two would be lost."""


def problems(definition: str) -> list[str]:
    """Each as "key: what to do"; none where the definition can be used. At most so many at once."""
    if len(definition) > LARGEST:
        return [f"definition: it is longer than {LARGEST:,} characters; shorten it"]
    try:
        plain = json.loads(definition, object_pairs_hook=_once)
        is_deep = _depth(plain) > DEEPEST
    except _Twice as error:
        return [f"definition: the key {error} stands twice in one group; keep one of them"]
    except RecursionError:
        is_deep = True
    except ValueError as error:
        return [f"definition: this is not JSON ({error}); correct it there"]
    if is_deep:
        return ["definition: it is nested too deeply; make it flatter"]
    return shape_problems(plain)[:MOST_SHOWN] or list(dict.fromkeys(_all(plain)))[:MOST_SHOWN]


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found


def _depth(plain: Any) -> int:
    """How many groups stand within each other. Raises RecursionError."""
    if not isinstance(plain, dict | list):
        return 0
    members = plain.values() if isinstance(plain, dict) else plain
    return 1 + max((_depth(member) for member in members), default=0)


# --- what a schema cannot know --------------------------------------------------------------------


def _all(plain: Plain) -> Found:
    request, webhooks = plain["request"], plain.get("webhooks", {})
    known = {SECRET + name for name in (*_secrets(plain), *plain.get("optional_secrets", ()))}
    yield from _base_url(plain)
    yield from _twice_declared(plain)
    yield from _questions(plain, known)
    yield from _whole_request(plain)
    yield from body_problems(request)
    yield from _auth(plain)
    yield from _success(plain)
    yield from _rules(plain.get("errors", []), "errors", _format_of(plain))
    yield from _signature(webhooks, known)
    for name, places in (("status", REPORT_PLACES), ("inbound", TEXT_PLACES)):
        if name in webhooks:
            yield from _callback(webhooks[name], f"webhooks.{name}", places)
    yield from _words(webhooks.get("status", {}))
    yield from _commands(webhooks.get("inbound", {}))
    yield from _look_up(plain)


def _secrets(plain: Plain) -> Sequence[str]:
    found: Sequence[str] = plain.get("secrets", ())
    return found


def _base_url(plain: Plain) -> Found:
    try:
        if "base_url" in plain:
            allowed(plain["base_url"], simulated=False)
    except AddressRefused as error:
        yield f"base_url: this address cannot be used ({error}); write a public https address"


def _twice_declared(plain: Plain) -> Found:
    for name in sorted(set(_secrets(plain)) & set(plain.get("optional_secrets", ()))):
        yield f"optional_secrets: {name} is among the secrets already; name it once"


def _questions(plain: Plain, known: set[str]) -> Found:
    """The templates of requests and look-ups, each with the places that may stand in it."""
    request = plain["request"]
    in_address = (SEND_PLACES | known) - {"text"}
    yield from _url(request["url"], "request.url", in_address)
    yield from _places(request.get("headers", {}), "request.headers", in_address - {"base"})
    yield from _headers(request, "request")
    for name in ("query", "body"):
        yield from _places(request.get(name, {}), f"request.{name}", SEND_PLACES | known)
    yield from _places(plain.get("auth", {}), "auth", known)
    for name in ("by_id", "by_ref"):
        asked, path = plain.get("look_up", {}).get(name, {}), f"look_up.{name}"
        if asked:
            places = LOOK_UP_PLACES - ({"id"} if name == "by_ref" else set()) | known
            yield from _url(asked["url"], f"{path}.url", places)
            yield from _places(asked.get("headers", {}), f"{path}.headers", places - {"base"})
            yield from _places(asked.get("query", {}), f"{path}.query", places)
            yield from _headers(asked, path)


def _url(url: str, path: str, places: frozenset[str] | set[str]) -> Found:
    parts = url.split("/")
    if not _URL.fullmatch(url) or not {".", ".."}.isdisjoint(parts):
        yield (
            f"{path}: the host is that of the account; write it like {{base}}/v1/messages, and"
            " what follows a question mark as query"
        )
    yield from _places(url, path, places)
    if url.count("{base}") > 1:
        yield f"{path}: {{base}} stands twice; leave it at the start only"


def _places(tree: Any, path: str, places: frozenset[str] | set[str]) -> Found:
    for name in dict.fromkeys(names_in(tree)):
        if name.startswith(SECRET) and name not in places:
            secret = name.removeprefix(SECRET)
            yield f"{path}: the secret {secret} is not declared; add it to secrets"
        elif name not in places:
            usual = sorted(place for place in places if not place.startswith(SECRET))
            yield f"{path}: there is no {{{name}}} here; use {listed(usual or ['{secret:NAME}'])}"
    if any(_BRACES.search(Template(text).literal) for text in texts_in(tree)):
        yield f"{path}: a brace without its other half; braces stand around a place only"


def _headers(request: Plain, path: str) -> Found:
    is_xml = request.get("body_format") == "xml"
    for name in request.get("headers", {}):
        if name.lower() in OURS_ALONE or (name.lower() == "content-type" and not is_xml):
            yield f"{path}.headers.{name}: this is set by itself; take it out"


def _whole_request(plain: Plain) -> Found:
    request = plain["request"]
    names = set(names_in([request["url"], request.get("query", {}), request.get("body", {})]))
    if "text" not in names:
        yield "request.body: nothing says the text; put {text} into the body or the query"
    if not names & RECIPIENT_PLACES:
        yield "request.body: nothing says whom it is for; put {to} into body, query or url"
    if request.get("charset", "UTF-8") != "UTF-8" and request["body_format"] != "xml":
        yield "request.charset: JSON and forms are UTF-8 always; take it out"


def _auth(plain: Plain) -> Found:
    auth, request = plain.get("auth", {"type": "none"}), plain["request"]
    if auth["type"] != "body_field":
        return
    inner: Any = request.get("body", {})
    for name in auth["path"].split(".")[:-1]:
        inner = inner.get(name, {}) if isinstance(inner, Mapping) else None
    if request["body_format"] == "none" or not isinstance(inner, Mapping):
        yield "auth.path: the body has no group of this name; name one, as in message.password"


def _format_of(plain: Plain) -> str:
    found: str = plain["success"].get("format", "json")
    return found


def _success(plain: Plain) -> Found:
    success, form = plain["success"], _format_of(plain)
    if "id" not in success and "id_fallback" not in success:
        yield 'success.id: say where the id is, or set id_fallback to "ref" for our own'
    paths = {f"success.id.{n}": path for n, path in enumerate(success.get("id", []))}
    for group in ("require", "unless"):
        paths |= {f"success.{group}": path for path in success.get(group, {})}
    if "error_code" in plain:
        paths["error_code"] = plain["error_code"]
    yield from _paths(paths, form)
    for path, words in success.get("unless", {}).items():
        yield from _regex(words, f"success.unless.{path}")


def _paths(paths: Mapping[str, str], form: str) -> Found:
    for key, path in paths.items():
        if why := why_no_path(path, form):
            yield f"{key}: {path!r} is no path in {form}; {why}"


def _regex(words: str, key: str) -> Found:
    try:
        re.compile(words)
    except re.error as error:
        yield f"{key}: this expression cannot be read ({error}); correct it"


def _rules(rules: Sequence[Plain], key: str, form: str) -> Found:
    for n, rule in enumerate(rules):
        at = f"{key}.{n}"
        yield from _one_rule(rule, at)
        wanted = ("path", "retry_after_path")
        yield from _paths({f"{at}.{name}": rule[name] for name in wanted if name in rule}, form)
        if "path" not in rule and ("equals" in rule or "regex" in rule):
            yield f"{at}.path: say which field must read so"
        if "path" in rule and not ("equals" in rule or "regex" in rule):
            yield f"{at}.equals: say what the field must read, by equals or regex"
        if "path" not in rule and "http_status" not in rule:
            yield f"{at}: it would fit every answer; give it http_status or a path"
        if "path" not in rule and rule["class"] != "unknown" and _may_be_yes(rule):
            yield f"{at}.path: an answer that says nothing may be a yes; say what it must read"


def _may_be_yes(rule: Plain) -> bool:
    wanted = rule.get("http_status", [])
    return any(status < 400 for status in (wanted if isinstance(wanted, list) else [wanted]))


def _one_rule(rule: Plain, at: str) -> Found:
    """What goes with which class."""
    goes_with = {
        "fault": "permanent_config",
        "opted_out": "permanent_recipient",
        "retry_after_path": "throttled",
        "retry_after_header": "throttled",
    }
    for name, wanted in goes_with.items():
        if name in rule and rule["class"] != wanted:
            yield f"{at}.{name}: this goes with the class {wanted}; take it out"
    if "equals" in rule and "regex" in rule:
        yield f"{at}.regex: it has equals too; keep one of them"
    if "regex" in rule:
        yield from _regex(rule["regex"], f"{at}.regex")


# --- callbacks ------------------------------------------------------------------------------------


def _signature(webhooks: Plain, known: set[str]) -> Found:
    signature, at = webhooks.get("signature", {"type": "none"}), "webhooks.signature"
    for name in ("secret", "user", "password"):
        if name in signature and SECRET + signature[name] not in known:
            yield f"{at}.{name}: the secret {signature[name]} is not declared; add it to secrets"
    if signature["type"] != "hmac":
        return
    signed = signature["signed"]
    yield from _places(signed, f"{at}.signed", SIGNED_PLACES)
    names = set(names_in(signed))
    events = [webhooks[name] for name in ("status", "inbound") if name in webhooks]
    are_queries = {event.get("format") == "query" for event in events} or {False}
    for place in ("url" if is_query else "body" for is_query in sorted(are_queries)):
        if place not in names:
            what = f"what they say must be signed, or anyone could change it; add {{{place}}}"
            yield f"{at}.signed: {what}"
    has_time = "timestamp_part" in signature or "timestamp_header" in signature
    if has_time != ("timestamp" in names):
        yield f"{at}.signed: {{timestamp}} goes with timestamp_part or timestamp_header; have both"
    if "timestamp_part" in signature and "signature_part" not in signature:
        yield f"{at}.signature_part: say which part of the header is the signature"


def _callback(event: Plain, at: str, places: frozenset[str]) -> Found:
    form = event.get("format", "json")
    names = (*places, "media", "command")
    paths = {f"{at}.{name}": event[name] for name in names if name in event}
    paths |= {f"{at}.when": path for path in event.get("when", {})}
    yield from _paths(paths, form)
    yield from _places(event.get("dedupe_key", ""), f"{at}.dedupe_key", places)
    if event.get("method") == "GET" and form != "query":
        yield f"{at}.format: a GET has no body; write query"
    yield from _report_rules(event.get("errors", []), f"{at}.errors")


def _report_rules(rules: Sequence[Plain], at: str) -> Found:
    for n, rule in enumerate(rules):
        yield from _one_rule(rule, f"{at}.{n}")
        if "equals" not in rule and "regex" not in rule:
            yield f"{at}.{n}.equals: say which code it is about, by equals or regex"


def _words(reports: Plain) -> Found:
    known = {word.lower() for word in reports.get("status_map", {})}
    for word in reports.get("words", ()):
        if word.lower() not in known:
            missing = f"it misses their word {word}; say which of ours that is"
            yield f"webhooks.status.status_map: {missing}"


def _commands(inbound: Plain) -> Found:
    if "command_map" in inbound and "command" not in inbound:
        yield "webhooks.inbound.command: say where the command is that command_map is about"


def _look_up(plain: Plain) -> Found:
    look_up = plain.get("look_up")
    if look_up is None:
        return
    names = ("list", *REPORT_PLACES)
    form = look_up.get("format", "json")
    paths = {f"look_up.{name}": look_up[name] for name in names if name in look_up}
    yield from _paths(paths, form)
    if "status_map" not in look_up and "status" not in plain.get("webhooks", {}):
        yield "look_up.status_map: say which of our words theirs are"
    yield from _report_rules(look_up.get("errors", []), "look_up.errors")
