"""What every address of the API shares: the key, its scope, the body, and how errors are told.

An error is a problem by RFC 9457 whatever goes wrong, with a `code` that does not change when its
words do. Sessions and cookies open nothing here, so no other site can act for somebody logged in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from brands import keys
from brands.keys import Scope, State
from brands.models import ApiKey

if TYPE_CHECKING:  # it reads our settings while it is imported, and they name this module
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
LARGEST = 5 * 1024 * 1024  # bytes; a thousand leads with all their fields have a third of it
LONGEST_LENGTH = 12  # digits
RETRY_AFTER = 30  # seconds, when the trouble is ours


class Fault(NamedTuple):
    """A kind of refusal: its status, its stable code, and what to do about it."""

    status: int
    code: str
    detail: str


class FieldError(NamedTuple):
    field: str
    code: str
    message: str


KEY_MISSING = Fault(401, "key_missing", "Send your key in a header: Authorization: Bearer so_…")
KEY_UNKNOWN = Fault(401, "key_unknown", "This is not a key of ours; look whether it is whole.")
KEY_FAULTS = {
    State.REVOKED: Fault(401, "key_revoked", "This key was revoked; ask for another."),
    State.EXPIRED: Fault(401, "key_expired", "This key has expired; ask for another."),
    State.BRAND_RETIRED: Fault(401, "brand_retired", "The brand of this key is retired."),
}
SCOPE_MISSING = Fault(403, "scope_missing", "This key may not do this; ask for one that may.")
NO_ADDRESS = Fault(404, "not_found", "Nothing is at this address. All there is: /api/docs/")
WRONG_METHOD = Fault(405, "method_not_allowed", "The header Allow names the methods of this.")
NOT_ACCEPTABLE = Fault(406, "not_acceptable", "Answers are JSON; accept application/json.")
BAD_JSON = Fault(400, "malformed_json", "The body is not JSON in UTF-8.")
NO_BODY = Fault(400, "empty_body", "The body is empty.")
BAD_REQUEST = Fault(400, "bad_request", "The request cannot be read.")
NO_LENGTH = Fault(411, "length_required", "Say how long the body is: Content-Length.")
TOO_LARGE = Fault(413, "body_too_large", f"A body has at most {LARGEST // 1024**2} MB.")
NOT_JSON = Fault(415, "not_json", "Send JSON, and say so: Content-Type: application/json")
OUR_FAULT = Fault(500, "internal_error", "This is our fault; we are told of it. Try again later.")
AWAY = Fault(503, "unavailable", "Nothing was stored. Try again; the header Retry-After says when.")
FAULTS = (
    *(KEY_MISSING, KEY_UNKNOWN, *KEY_FAULTS.values(), SCOPE_MISSING, NO_ADDRESS, WRONG_METHOD),
    *(NOT_ACCEPTABLE, BAD_JSON, NO_BODY, BAD_REQUEST, NO_LENGTH, TOO_LARGE, NOT_JSON, OUR_FAULT),
    AWAY,
)
_BY_DRF: Mapping[type[exceptions.APIException], Fault] = {
    exceptions.NotAuthenticated: KEY_MISSING,
    exceptions.MethodNotAllowed: WRONG_METHOD,
    exceptions.NotAcceptable: NOT_ACCEPTABLE,
    exceptions.ParseError: BAD_JSON,
    exceptions.UnsupportedMediaType: NOT_JSON,
    exceptions.NotFound: NO_ADDRESS,
    exceptions.PermissionDenied: SCOPE_MISSING,
}


class Refused(Exception):
    """A request that is refused as a whole."""

    def __init__(
        self, fault: Fault, errors: Sequence[FieldError] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(fault.code)
        self.fault, self.errors, self.retry_after = fault, errors, retry_after


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer so_…`; the key is the request's `auth`, and nobody is its user."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        header = request.headers.get("Authorization", "")
        scheme, _, whole = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = keys.find(whole.strip())
        if found is None:
            raise Refused(KEY_UNKNOWN)
        if found.state is not State.WORKS:
            raise Refused(KEY_FAULTS[found.state])
        return AnonymousUser(), found.key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the documentation names the key."""

    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        words = "A key that somebody who manages the brand made for you in Sendonce."
        return {"type": "http", "scheme": "bearer", "description": words}


class HasScope(BasePermission):
    """The key has the scope that the view names in `scope`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        key, scope = key_of(request), getattr(view, "scope", None)
        return isinstance(scope, Scope) and scope.value in key.scopes


def key_of(request: Request) -> ApiKey:
    """The key that a request came with. Raises NotAuthenticated."""
    if isinstance(key := request.auth, ApiKey):
        return key
    raise exceptions.NotAuthenticated


class JsonBody(BaseParser):
    """JSON of up to `LARGEST` bytes; a larger body is not read to its end."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            raw = stream.read(LARGEST + 1)
        except UnreadablePostError as error:  # they went in the middle of it
            raise Refused(BAD_REQUEST) from error
        if len(raw) > LARGEST:
            raise Refused(TOO_LARGE)
        try:
            return json.loads(raw.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Refused(BAD_JSON) from error


def read_body(request: Request) -> Any:
    """The body as JSON. Raises Refused, also for a body that is missing."""
    length = request.headers.get("Content-Length") or ""
    if not length and "Transfer-Encoding" in request.headers:
        raise Refused(NO_LENGTH)
    if length.isdecimal() and (len(length) > LONGEST_LENGTH or int(length) > LARGEST):
        raise Refused(TOO_LARGE)
    if not length.strip("0"):
        raise Refused(NO_BODY)
    return request.data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


def problem(fault: Fault, errors: Sequence[FieldError] = ()) -> dict[str, Any]:
    """The body of an error's answer."""
    return {
        "type": f"urn:sendonce:problem:{fault.code}",
        "title": HTTPStatus(fault.status).phrase,
        "status": fault.status,
        "detail": fault.detail,
        "code": fault.code,
        "errors": [error._asdict() for error in errors],
    }


def answer_error(error: Exception, context: Mapping[str, Any]) -> Response:
    """Every error of a view, turned into its problem; the handler that REST_FRAMEWORK names."""
    refused = error if isinstance(error, Refused) else Refused(*_read(error))
    body = problem(refused.fault, refused.errors)
    response = Response(body, refused.fault.status, content_type=PROBLEM)
    if refused.fault.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="api"'
    if refused.fault.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER)
    if refused.retry_after is not None:
        response["Retry-After"] = str(refused.retry_after)
    return response


def _read(error: Exception) -> tuple[Fault, Sequence[FieldError]]:
    if isinstance(error, Http404):
        return NO_ADDRESS, ()
    if isinstance(error, PermissionDenied):
        return SCOPE_MISSING, ()
    if isinstance(error, OperationalError | InterfaceError):
        logger.warning("the API has no database", extra={"error": type(error).__name__})
        return AWAY, ()
    if isinstance(error, exceptions.APIException):
        return _BY_DRF.get(type(error), BAD_REQUEST), ()
    logger.error("a request to the API failed", exc_info=error)
    return OUR_FAULT, ()


@csrf_exempt
def no_such_address(request: HttpRequest) -> HttpResponse:
    """Whatever else is asked for under /api/."""
    body = json.dumps(problem(NO_ADDRESS))
    return HttpResponse(body, status=NO_ADDRESS.status, content_type=PROBLEM)
