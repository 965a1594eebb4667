"""The steps that only e-mail has; what it has in common with texts is in `steps.py`.

They know no recipient's program and no provider: what is said, and how one gets out of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from campaigns.rendering import (
    UNSUBSCRIBE_LINE,
    Mail,
    MissingValue,
    fill_in_mail,
    with_unsubscribe,
)
from delivery.states import Reason
from delivery.steps import LINK_MARK, Draft, Envelope, Facts, Refuse, Result, hash_of_words
from links.codes import link_url

UNSUBSCRIBE_MARK = "\ue001"  # stands for the way out, until the attempt has its ref
MAIL_MARKS = (LINK_MARK, f"{UNSUBSCRIBE_LINE}{UNSUBSCRIBE_MARK}", UNSUBSCRIBE_MARK)


def refuse_bad_mailbox(draft: Draft, facts: Facts) -> Result:
    if not draft.to:
        return Refuse(Reason.NO_ADDRESS)
    if _envelope(draft).bounces:
        return Refuse(Reason.UNDELIVERABLE)
    return draft if draft.lead_is_active else Refuse(Reason.LEAD_INACTIVE)


def fill_in_mail_of_slot(draft: Draft, facts: Facts) -> Result:
    """Raises KeyError for a message without a slot: only campaigns have this step."""
    slot = facts.slots[draft.slot_id or 0]
    return _mail_filled_in(draft, facts, slot.mail, draft.values, slot.destination)


def fill_in_mail_of_single(draft: Draft, facts: Facts) -> Result:
    """Its own words and values. Raises KeyError for any other message."""
    single = facts.singles[draft.message_id]
    return _mail_filled_in(draft, facts, single.mail, single.values, single.destination)


def _mail_filled_in(
    draft: Draft, facts: Facts, mail: Mail | None, values: Mapping[str, str], destination: str
) -> Result:
    """Subject, text and HTML, with marks for the links; subject and text are hashed."""
    if mail is None:
        return Refuse(Reason.CANNOT_RENDER)
    brand = facts.brands[draft.brand_id].name
    marks = {"brand": brand, "link": LINK_MARK, "unsubscribe": UNSUBSCRIBE_MARK}
    try:
        said = fill_in_mail(mail, {**values, **marks})
    except MissingValue:
        return Refuse(Reason.CANNOT_RENDER)
    has_link = LINK_MARK in said.text or LINK_MARK in said.html
    if not said.subject or not said.text or (has_link and not destination):
        return Refuse(Reason.CANNOT_RENDER)
    words_hash = hash_of_mail(said.subject, said.text, *MAIL_MARKS)
    envelope = _envelope(draft)._replace(subject=said.subject, html=said.html)
    return draft._replace(text=said.text, words_hash=words_hash, mail=envelope)


def hash_of_mail(subject: str, text: str, *left_out: str) -> str:
    """What a person must not get twice: subject and text, without the links and the way out."""
    return hash_of_words(f"{subject}\n{text}", *left_out)


def add_link_to_mail(draft: Draft, facts: Facts) -> Result:
    mail = _envelope(draft)
    if LINK_MARK not in draft.text and LINK_MARK not in mail.html:
        return draft._replace(code="")
    domain = facts.brands[draft.brand_id].short_domain
    link = link_url(domain, draft.code, scheme=facts.link_scheme)
    html = mail.html.replace(LINK_MARK, link)
    return draft._replace(text=draft.text.replace(LINK_MARK, link), mail=mail._replace(html=html))


def add_unsubscribe_link(draft: Draft, facts: Facts) -> Result:
    """The mark of it: the address carries the ref of the attempt, which is not drawn yet."""
    mail = _envelope(draft)
    said = with_unsubscribe(Mail(mail.subject, draft.text, mail.html), UNSUBSCRIBE_MARK)
    return draft._replace(text=said.text, mail=mail._replace(html=said.html))


def refuse_unfit_mail(draft: Draft, facts: Facts) -> Result:
    """An e-mail has no segments: it counts as one, whatever its length."""
    lane = facts.lanes.get(draft.lane_id)
    if lane is not None and max(len(draft.text), len(_envelope(draft).html)) > lane.max_chars:
        return Refuse(Reason.TOO_LONG)
    return draft._replace(segments=1)


def addressed(draft: Draft, ref: str) -> Draft:
    """With the address to unsubscribe at in the place of its mark; a text message as it is."""
    if draft.mail is None:
        return draft
    url = unsubscribe_url(ref)
    html = draft.mail.html.replace(UNSUBSCRIBE_MARK, url)
    text = draft.text.replace(UNSUBSCRIBE_MARK, url)
    return draft._replace(text=text, mail=draft.mail._replace(html=html))


def unsubscribe_url(ref: str) -> str:
    """Where the recipient of the attempt with this ref gets out, by one click (RFC 8058)."""
    return f"{settings.PUBLIC_BASE_URL}/u/{ref}"


def _envelope(draft: Draft) -> Envelope:
    assert draft.mail is not None  # noqa: S101 - only e-mail has these steps
    return draft.mail
