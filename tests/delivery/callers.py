"""A provider's end of a callback: signed by its own package, posted to our address."""

from __future__ import annotations

import base64
import hmac
from itertools import count
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from django.test import Client
from plivo.utils import signature_v3, validate_signature
from twilio.request_validator import RequestValidator

FORM = "application/x-www-form-urlencoded"

numbers = count(1)


def post(account, what, fields, query="", **changes):
    """Post a genuine callback with these fields, signed by the account's secret.

    `what` is "status" or "inbound". For what may be changed, see `send`.
    """
    return send("POST", account, what, fields, query, **changes)


def get(account, what, fields, **changes):
    """A genuine callback by GET: its fields are the query."""
    return send("GET", account, what, {}, urlencode(fields), **changes)


def send(
    method,
    account,
    what,
    fields,
    query="",
    *,
    token=None,  # what it is signed with, when that is not the account's secret
    version="V3",  # of Plivo's signature
    nonce=None,
    body=None,  # what is sent in place of the fields that were signed
    kind=None,  # in the address, when it is not the account's
    signature=None,  # the headers, in place of those that the provider would send
    **extra,
):
    token = account.access().secrets["auth_token"] if token is None else token
    path = address(account, what, query, kind=kind)
    if signature is None:
        nonce = nonce or f"nonce-{next(numbers)}"
        signature = sign(account.kind, f"{settings.PUBLIC_BASE_URL}{path}", fields, token=token,
                         method=method, version=version, nonce=nonce)  # fmt: skip
    body = urlencode(fields) if body is None else body
    return Client().generic(method, path, body, FORM, headers=signature, **extra)


def address(account, what, query="", *, kind=None):
    path = f"/webhooks/{kind or account.kind}/{account.pk}/{what}"
    return f"{path}?{query}" if query else path


def sign(kind, url, fields, *, token, method="POST", version="V3", nonce="n1"):
    """The headers by which the provider's own package knows its signature again."""
    fields = dict(fields)
    if kind == "twilio":
        return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, fields)}
    if version == "V2":
        return _plivo_v2(url, token, nonce)
    if method == "GET":
        plain, query = url.partition("?")[::2]
        signed = signature_v3.construct_get_url(plain, dict(parse_qsl(query, True)))
    else:
        signed = signature_v3.construct_post_url(url, fields)
    signature = signature_v3.get_signature_v3(token.encode(), signed.decode(), nonce).decode()
    return {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-V3-Nonce": nonce}


def _plivo_v2(url, token, nonce):
    """By the steps of Plivo's page on signatures; its package only checks them, and does here."""
    plain = url.partition("?")[0] + nonce
    signature = base64.b64encode(hmac.digest(token.encode(), plain.encode(), "sha256")).decode()
    assert validate_signature(url, nonce, signature, token)
    return {"X-Plivo-Signature-V2": signature, "X-Plivo-Signature-V2-Nonce": nonce}


def report_fields(account, *, provider_ref, word="delivered", to, **fields):
    """What the provider posts about a message of ours that has this id with it."""
    if account.kind == "twilio":
        own = {"MessageSid": provider_ref, "MessageStatus": word, "To": to}
    else:
        own = {"MessageUUID": provider_ref, "Status": word, "To": to.removeprefix("+")}
    return {**own, **fields}


def text_fields(account, *, provider_ref, sender, to, text, **fields):
    """What the provider posts when a person texts one of our numbers."""
    if account.kind == "twilio":
        own = {"MessageSid": provider_ref, "From": sender, "To": to, "Body": text, "NumMedia": "0"}
    else:
        own = {"MessageUUID": provider_ref, "From": sender.removeprefix("+"),
               "To": to.removeprefix("+"), "Text": text, "Type": "sms"}  # fmt: skip
    return {**own, **fields}


def report(account, ref, **fields):
    """Post a genuine delivery report on the attempt with this reference of ours."""
    return post(account, "status", report_fields(account, **fields), f"ref={ref}")


def text(account, **fields):
    """Post a genuine text of a person."""
    return post(account, "inbound", text_fields(account, **fields))
