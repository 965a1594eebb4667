"""What the API's page says of posting leads: its shapes and codes are made from what checks them.

A partner's developer reads only this page. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from brands import api
from leads import problems
from leads.posted import MOST_FIELDS
from leads.rows import COLUMNS, LONGEST, LONGEST_FIELD

Schema = dict[str, Any]
JSON = "application/json"

LEAD: dict[str, str] = {
    "phone": "A number that takes texts, in any usual form; best as +12125550123.",
    "email": "An e-mail address.",
    "first_name": "As it is to stand in a text.",
    "last_name": "As it is to stand in a text.",
    "city": "Where the person lives.",
    "state": "Two letters or the name of a US state. With `zip`, it says when it is day there.",
    "zip": "A US ZIP code.",
    "consent_at": "When the person agreed to be contacted: ISO 8601; without an offset it is UTC."
    " Every lead needs it.",
    "consent_wording": "The words the person agreed to. Keep them: they are your proof.",
    "consent_url": "The page on which the person agreed.",
    "external_ref": "Your own number of this lead.",
    "source": "Where the lead comes from. Empty: the name of your key.",
}
FIELDS = (
    "What else is known of the person, by names of your own: an object of texts, numbers, true or"
    " false, kept as texts. Templates may use them."
)
EXAMPLE = {
    "phone": "+12125550123",
    "first_name": "Ada",
    "last_name": "Bell",
    "state": "NY",
    "zip": "10001",
    "consent_at": "2026-03-01T14:05:00Z",
    "consent_wording": "I agree to get texts about jobs near me.",
    "consent_url": "https://jobs.example.com/join",
    "external_ref": "L-1001",
    "fields": {"trade": "nurse", "years": 4},
}
MANY = [
    {"phone": "+12125550123", "first_name": "Ada", "consent_at": "2026-03-01T14:05:00Z"},
    {"email": "eva@example.com", "first_name": "Eva", "consent_at": "2026-03-02"},
    {"phone": "+121255501", "consent_at": "2026-03-02"},
]
CREATED = {
    "index": 0, "status": "created", "lead_id": 81, "code": None, "field": None, "message": None,
    "notice": None,
}  # fmt: skip
UPDATED = {**CREATED, "index": 1, "status": "updated", "lead_id": 64}
BAD_PHONE = {
    "code": "phone_impossible",
    "field": "phone",
    "message": problems.LEAD_CODES["phone_impossible"],
}
REFUSED = {**CREATED, "index": 2, "status": "refused", "lead_id": None, **BAD_PHONE}
RESULTS = {"results": [CREATED, UPDATED, REFUSED], "created": 1, "updated": 1, "refused": 1}

PAGE = """
Post the people who asked to hear from a brand. Each becomes a lead of the brand your key belongs to, ready for its campaigns.

### Your first lead

Ask whoever manages the brand in Sendonce for a key, and paste this:

```
curl {url} \\
  -H 'Authorization: Bearer so_…' \\
  -H 'Content-Type: application/json' \\
  -H 'Idempotency-Key: 5d1f9c1e-1' \\
  -d '{{"phone": "+12125550123", "first_name": "Ada", "consent_at": "2026-03-01T14:05:00Z"}}'
```

### What happens to a lead

The same checks as for a file that staff upload. A person is one lead of a brand: who comes again is **updated**, what you leave out or send empty stays as it was, and an opt-out stays an opt-out. A lead that is refused is kept for the brand's staff to read, with its reason.

### What a lead has

Names and values, in one object. A value is a text, or null where there is none; a lead needs `consent_at`, and a phone, an e-mail or both.

| Name | What it is | Longest |
|---|---|---|
{columns}
| `fields` | {fields} | {longest} each |

### Many at once

Send a list of up to {most} leads, {megabytes} MB at most. The answer is 200 and has a result for each lead, in your order; refused ones do not stop the others. What was taken is stored when the answer comes. If no answer comes, it may be stored or not: send it again.

### Send it again without fear

Make up an `Idempotency-Key` for each request, such as a UUID, and send the same again whenever no answer came or it was 409, 500 or 503. Within 24 hours a repetition gets the first answer, with the header `Idempotent-Replayed: true`, and does nothing else. Another body under the same key is refused. Answers that tell of our trouble, and refusals of the request as a whole, are not remembered: mend the request and send it again.

### Errors

Every error is [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) `application/problem+json`. Decide by `code`, which never changes; `detail` is for people.

| Status | `code` | What it means |
|---|---|---|
{faults}

### Why a lead is refused

In a list, `code`, `field` and `message` of its result; for a single lead, a 422 problem with the same code.

| `code` | What it means |
|---|---|
{codes}

A lead that was taken may carry a `notice`:

| `code` | What it means |
|---|---|
{notices}
"""  # noqa: E501 - Markdown: a paragraph is a line


def page() -> str:
    """The words above the reference, in Markdown."""
    return PAGE.format(
        columns=_table([f"`{name}`", LEAD[name], f"{LONGEST[name]:,}"] for name in COLUMNS),
        fields=FIELDS,
        longest=f"{LONGEST_FIELD:,}",
        url=f"{settings.PUBLIC_BASE_URL}/api/v1/leads",
        most=f"{problems.MOST:,}",
        megabytes=api.LARGEST // 1024**2,
        faults=_table([str(f.status), f"`{f.code}`", f.detail] for f in problems.REQUEST_FAULTS),
        codes=_table([f"`{code}`", words] for code, words in problems.LEAD_CODES.items()),
        notices=_table([f"`{code}`", words] for code, words in problems.NOTICE_CODES.items()),
    ).strip()


def _table(rows: Any) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def add_words(result: Schema, **kwargs: Any) -> Schema:
    """A drf-spectacular hook: the page's words, and the shapes that the operation refers to."""
    result["info"]["description"] = page()
    result["components"].setdefault("schemas", {}).update(_shapes())
    return result


def _shapes() -> dict[str, Schema]:
    return {
        "Lead": _lead(),
        "Result": _result(),
        "Results": {
            "type": "object",
            "required": ["results", "created", "updated", "refused"],
            "properties": {
                "results": {"type": "array", "items": _ref("Result")},
                **{name: {"type": "integer"} for name in ("created", "updated", "refused")},
            },
        },
        "Reason": _reason(),
        "Problem": _problem(),
    }


def _lead() -> Schema:
    texts: Schema = {
        name: {
            "type": "string",
            "nullable": True,
            "maxLength": LONGEST[name],
            "description": LEAD[name],
        }
        for name in COLUMNS
    }
    texts["consent_at"].pop("nullable")
    fields = {
        "type": "object",
        "nullable": True,
        "maxProperties": MOST_FIELDS,
        "additionalProperties": {
            "anyOf": [
                {"type": "string", "maxLength": LONGEST_FIELD},
                {"type": "number"},
                {"type": "boolean"},
            ]
        },
        "description": FIELDS,
    }
    return {
        "type": "object",
        "required": ["consent_at"],
        "additionalProperties": False,
        "properties": {**texts, "fields": fields},
        "example": EXAMPLE,
    }


def _result() -> Schema:
    text: Schema = {"type": "string", "nullable": True}
    properties: Schema = {
        "index": {"type": "integer", "description": "The lead's place in your list, from 0."},
        "status": {"type": "string", "enum": ["created", "updated", "refused"]},
        "lead_id": {"type": "integer", "nullable": True},
        "code": {**text, "description": "Why it was refused; stable."},
        "field": {**text, "description": "The field at fault, if it is one."},
        "message": text,
        "notice": {"allOf": [_ref("Reason")], "nullable": True},
    }
    return {"type": "object", "required": [*properties], "properties": properties}


def _reason() -> Schema:
    properties = {name: {"type": "string"} for name in ("code", "field", "message")}
    return {"type": "object", "required": [*properties], "properties": properties}


def _problem() -> Schema:
    properties: Schema = {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people; may change."},
        "code": {"type": "string", "description": "For programs; never changes."},
        "errors": {
            "type": "array",
            "items": _ref("Reason"),
            "description": "The fields at fault, where it is fields.",
        },
    }
    return {"type": "object", "required": [*properties], "properties": properties}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _answers() -> Mapping[Any, Any]:
    """Each status with its codes; where several have one, an example of each."""
    either: Schema = {"oneOf": [_ref("Result"), _ref("Results")]}
    answers: dict[Any, Any] = {
        (200, JSON): OpenApiResponse(
            either,
            "A list: what became of each lead. A single lead: it was known and is up to date.",
            [_shown("A list", RESULTS), _shown("A single lead", {**UPDATED, "index": 0})],
        ),
        (201, JSON): OpenApiResponse(
            _ref("Result"), "A single lead that is new.", [_shown("A single lead", CREATED)]
        ),
    }
    for status in sorted({fault.status for fault in problems.REQUEST_FAULTS}):
        faults = [fault for fault in problems.REQUEST_FAULTS if fault.status == status]
        examples = [_shown(fault.code, api.problem(fault)) for fault in faults]
        if status == problems.LEAD_REFUSED:
            examples.insert(0, _shown("A single lead", _lead_refused()))
        words = "Codes: " + ", ".join(f"`{fault.code}`" for fault in faults)
        words += ", or that of a single lead" if status == problems.LEAD_REFUSED else ""
        answers[status, api.PROBLEM] = OpenApiResponse(_ref("Problem"), f"{words}.", examples)
    return answers


def _lead_refused() -> Schema:
    fault = api.Fault(problems.LEAD_REFUSED, BAD_PHONE["code"], BAD_PHONE["message"])
    error = api.FieldError(BAD_PHONE["field"], BAD_PHONE["code"], BAD_PHONE["message"])
    return api.problem(fault, [error])


def _shown(name: str, value: object) -> OpenApiExample:
    return OpenApiExample(name, value=value)


post_leads = extend_schema(
    operation_id="post_leads",
    summary="Post one lead, or a list of up to 1,000",
    description="A lead is taken in or refused with a reason; see above what happens to it.",
    tags=["Leads"],
    parameters=[
        OpenApiParameter(
            "list",
            description="The name of one of the brand's lists: all leads of the request are put"
            " on it. Without it they are the brand's leads, on no list.",
        ),
        OpenApiParameter(
            "Idempotency-Key",
            location=OpenApiParameter.HEADER,
            description="Makes it safe to send the request again; up to"
            f" {problems.LONGEST_KEY} printable characters.",
        ),
    ],
    request={
        JSON: {
            "oneOf": [
                _ref("Lead"),
                {"type": "array", "items": _ref("Lead"), "minItems": 1, "maxItems": problems.MOST},
            ]
        }
    },
    responses=_answers(),
    examples=[
        OpenApiExample("One lead", value=EXAMPLE, request_only=True),
        OpenApiExample("Several leads", value=MANY, request_only=True),
    ],
)
