"""Message texts that staff write: filled by a closed list of names, never by a template engine.

An e-mail has a subject and may have HTML beside its text. It knows no recipient and no channel.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from html import escape
from typing import NamedTuple

NAMES = frozenset({"first_name", "last_name", "city", "state", "zip_code", "brand", "link"})
SUBJECT_NAMES = NAMES - {"link"}
MAIL_NAMES = NAMES | {"unsubscribe"}
PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\|([^{}]*))?\}")
LEFT_OVER = re.compile(r"[{}]")
BREAKS = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")  # blanks, and what would end a header
STYLES = re.compile(r"<style\b.*?</style\s*>", re.DOTALL | re.IGNORECASE)
FRAME_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
    " img-src https: data:; style-src 'unsafe-inline'\">"
)
UNSUBSCRIBE_LINE = "Unsubscribe: "


class BadTemplate(ValueError):
    """A template that can never be filled in; the message says where and why."""


class Mail(NamedTuple):
    """What an e-mail says: a subject of one line, plain text, and HTML or nothing."""

    subject: str
    text: str
    html: str = ""


class MissingValue(ValueError):
    """A name of the template has no value for this person and no fall-back."""


def check_template(text: str, names: Collection[str] = NAMES) -> None:
    """Raises BadTemplate for an unknown name or a stray brace."""
    for match in PLACEHOLDER.finditer(text):
        if match[1] not in names:
            known = ", ".join(sorted(names))
            raise BadTemplate(f"{{{match[1]}}} is not a name we know; use one of: {known}.")
    if stray := LEFT_OVER.search(PLACEHOLDER.sub("", text)):
        raise BadTemplate(f"A {stray[0]} stands alone; names are written like {{first_name}}.")


def trouble(text: str, names: Collection[str] = NAMES) -> str:
    """Why the text cannot be filled in; empty if it can."""
    try:
        check_template(text, names)
    except BadTemplate as error:
        return str(error)
    return ""


def mail_troubles(mail: Mail) -> dict[str, str]:
    """Why its parts cannot be filled in, by part. Style sheets have braces of their own."""
    found = {
        "subject": trouble(mail.subject, SUBJECT_NAMES),
        "text": trouble(mail.text, MAIL_NAMES),
        "html": trouble(STYLES.sub("", mail.html), MAIL_NAMES),
    }
    return {part: words for part, words in found.items() if words}


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """The text with each {name} replaced; `{first_name|there}` falls back to `there`.

    Values are put in as they are: a brace in a person's name is never read as a placeholder.
    Raises MissingValue.
    """

    words = []
    for literal, name, fall_back in _parts(text):
        words.append(literal)
        if name:
            found = values.get(name, "").strip() or fall_back
            if found is None:
                raise MissingValue(name)
            words.append(found)
    return "".join(words)


@lru_cache(maxsize=1024)
def _parts(text: str) -> tuple[tuple[str, str, str | None], ...]:
    """What stands before each placeholder, its name and its fall-back; after the last no name."""
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(text):
        parts.append((text[end : match.start()], match[1], match[2]))
        end = match.end()
    return (*parts, (text[end:], "", None))


def one_line(text: str) -> str:
    """Fit for a header: what breaks lines, or a terminal, is a blank."""
    return BREAKS.sub(" ", text).strip()


def fill_in_mail(mail: Mail, values: Mapping[str, str]) -> Mail:
    """Each part with its {names} replaced: as they are in text, escaped in HTML. Raises
    MissingValue.
    """
    escaped = {name: escape(value) for name, value in values.items()} if mail.html else {}
    return Mail(
        one_line(fill_in(mail.subject, values)),
        fill_in(mail.text, values).strip(),
        fill_in(mail.html, escaped).strip(),
    )


def with_unsubscribe(mail: Mail, url: str) -> Mail:
    """Text and HTML with a way out, below where they do not have it (15 USC 7704(a)(5))."""
    text, html = mail.text, mail.html
    if url not in text:
        text = f"{text}\n\n{UNSUBSCRIBE_LINE}{url}"
    if html and escape(url) not in html:
        html = _at_the_end(html, f'<p><a href="{escape(url)}">Unsubscribe</a></p>')
    return mail._replace(text=text, html=html)


def _at_the_end(html: str, piece: str) -> str:
    """Within the body, where there is one."""
    at = html.lower().rfind("</body")
    return f"{html}\n{piece}" if at < 0 else f"{html[:at]}{piece}\n{html[at:]}"


def framed(html: str) -> str:
    """The HTML for a frame without rights on a page of ours: it may show pictures, and no more."""
    return f"{FRAME_POLICY}{html}" if html else ""
