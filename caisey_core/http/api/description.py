"""The API's description, OpenAPI 3.1: what Litestar finds out of the handlers, completed by what all operations share."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import MediaType, Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin

from caisey_core.http.api.examples import Schema, example
from caisey_core.http.problems import Problem, titles

BASE: Final = "/api/v1/t/"
ABOUT: Final = """\
All that the web UI does, for programs.

**Who asks.** Send an API token as `Authorization: Bearer …`. Make one on the page *API tokens*; it may do what its scopes allow, \
and never more than its owner. What is not there and what is not yours looks the same: 404.

**Lists.** A part of a list has `next`: send it as `after` for the part that follows; it is empty at the end. Entries that are there \
all the time are met once, whatever comes and goes meanwhile.

**Doing things once.** Send an `Idempotency-Key` of your own (a UUID, say) with a POST. The same request under the same key is done \
once, and answered the same for 24 hours; another request under it is refused (422), and so is one that comes while the first is \
under way (409).

**Limits.** `RateLimit-Policy` and `RateLimit` say how many requests are left; `Retry-After` how many seconds to wait after a 429 or 503.

**Refusals** are problem details (RFC 9457): `detail` says what is wrong, `what_to_do` what helps, `field` which input it was.

Times are UTC microseconds since 1970, ids are UUIDs.
"""
SUBJECTS: Final = {
    "Caller and tokens": "Who calls, and the tokens of the company. New ones are made on the page API tokens only.",
    "Devices": "Devices, their facts, and asking for a session on one.",
    "Assignments": "Giving devices to technicians.",
    "Sessions": "Where sessions stand, and what people do to one.",
    "Files and outputs": "Files to and from devices, outputs, recordings and bundles.",
    "Review": "What happened in a session, the verdict on its record, and how long its contents are kept.",
    "Search": "Search over all records.",
    "Transcripts and shares": "Reviewing what leaves the house, and links to it.",
    "Clients": "The companies that are looked after.",
    "Enrolment": "Installers: tokens with which devices enrol.",
    "Members": "People with an account.",
    "Plugins": "What is installed and enabled.",
    "Audit log": "What was done to the control plane itself, its proof, and the public keys.",
    "Notices and changes": "What waits for the caller, what there is to find, and a stream of what changes.",
}
FILES: Final = {  # answers that are no JSON
    "fetchFile": ("application/octet-stream",),
    "commandOutput": ("text/plain",),
    "sessionBundle": ("application/zip",),
    "terminalRecording": ("application/x-asciicast",),
    "exportAuditLog": ("text/csv", "application/jsonl"),
    "streamChanges": ("text/event-stream",),
}
UPLOADS: Final = {"uploadFile": "application/octet-stream"}  # bodies that are no JSON
REFUSALS: Final = {
    401: "The token is missing or not valid.",
    403: "The caller, or this token, may not do it.",
    404: "It is not there, or not the caller's.",
    409: "It cannot be done as things stand now.",
    413: "What was sent is too large.",
    422: "Something that was sent is wrong; `field` says what.",
    429: "Too many requests.",
    503: "Not available now; nothing was changed.",
}
_EXAMPLE_PROBLEM: Final = {
    401: ("The API token is missing or not valid.", "Send it as “Authorization: Bearer …”."),
    403: ("You may not assign devices as technician.", "Ask an admin of your company to do it or to change your role."),
    404: ("There is nothing at this address.", "It may have been removed, or it is not yours to see."),
    409: ("This session is over.", "Ask for a new session on the device."),
    413: ("What was sent is too large.", "Send less at once."),
    422: ("The reason is empty.", "Say why; the person at the device reads it."),
    429: ("Too many requests from this token: 6000 a minute are allowed.", "Wait as long as Retry-After says, and send fewer."),
    503: ("The database cannot be reached now.", "The operator was told. Try again soon."),
}


def operation_id(handler: HTTPRouteHandler, _method: object = None, _path: object = None) -> str:
    """Name an operation by its function: list_devices becomes listDevices."""
    first, *others = handler.fn.__name__.split("_")
    return first + "".join(word.capitalize() for word in others)


class Description(JsonRenderPlugin):
    """Serves the completed document."""

    def __init__(self, tags: Mapping[str, str]) -> None:
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._tags, self._bytes = tags, b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Schema) -> bytes:
        """Return the document as JSON."""
        self._bytes = self._bytes or msgspec.json.encode(complete(openapi_schema, self._tags))
        return self._bytes


def complete(found: Schema, tags: Mapping[str, str]) -> Schema:
    """Return a document with all that Litestar cannot know. The one that is given stays as it is.

    `tags` has the subject of each operation of the API.
    """
    document: Schema = msgspec.json.decode(_renamed(msgspec.json.encode(found)))
    document["info"]["description"] = ABOUT
    document["tags"] = [{"name": name, "description": about} for name, about in SUBJECTS.items()]
    document["servers"] = [{"url": "/"}]
    parts = document["components"]
    _mend(parts["schemas"])
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": "An API token of Caisey."}}
    parts["schemas"] |= msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")[1]
    parts["headers"] = _HEADERS
    parts["responses"] = {f"Problem{status}": _problem(status) for status in REFUSALS}
    parts["parameters"] = {"IdempotencyKey": _KEY}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(document, operation, method, of_the_api=path.startswith(BASE))
            if (tag := tags.get(operation["operationId"])) is not None:
                operation["tags"] = [tag]
    _close_bodies(document)
    return document


def _renamed(document: bytes) -> bytes:
    """Give the parts of lists names that people can read."""
    return re.sub(rb"Page_[a-z_.]+\.(\w+?)_(?=\")", rb"PageOf\1", document)


def _mend(schema: Any) -> None:
    """Take away what Litestar makes of the dots in tuple[Annotated[…], ...]: a choice between the item and anything."""
    if isinstance(schema, dict):
        items = schema.get("items")
        if isinstance(items, dict) and {} in items.get("oneOf", ()):
            schema["items"] = next(one for one in items["oneOf"] if one)
        for inner in schema.values():
            _mend(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _mend(inner)


def _complete(document: Schema, operation: Schema, method: str, *, of_the_api: bool) -> None:
    text = " ".join(operation.get("description", "").split())
    operation["summary"] = re.split(r"(?<=[a-z”])[.:;](?: |$)", text)[0]
    operation["security"] = [{"token": []}] if of_the_api else []
    responses: Schema = {status: one for status, one in operation["responses"].items() if status != "400"}
    for response in responses.values():
        response["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in _ALWAYS if of_the_api or name == "X-Request-Id"
        }
        if operation["operationId"] in FILES:
            bare = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
            response["content"] = dict.fromkeys(FILES[operation["operationId"]], bare)
        response["description"] = "Done."
        for media, content in response.get("content", {}).items():
            if media == "application/json":
                content["example"] = example(document, content["schema"])
    if (upload := UPLOADS.get(operation["operationId"])) is not None:
        operation["requestBody"] = {"required": True, "content": {upload: {"schema": {"type": "string", "format": "binary"}}}}
    body = operation.get("requestBody")
    for content in (body or {}).get("content", {}).values():
        content["example"] = example(document, content["schema"])
    for status in REFUSALS:
        if status != 413 or body is not None:
            responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    operation["responses"] = responses
    if method == "post" and of_the_api:
        operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IdempotencyKey"})
    for parameter in operation.get("parameters", []):
        if "schema" in parameter and "description" not in parameter:
            parameter["description"] = _MEANING.get(parameter["name"], parameter["name"].replace("_", " ").capitalize() + ".")


def _close_bodies(document: Schema) -> None:
    """Say of what is sent that it has no other members: a misspelt one is refused, not passed over."""
    seen = set[str]()

    def close(schema: Any) -> None:
        if isinstance(schema, dict):
            name = str(schema.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                found = document["components"]["schemas"][name]
                if found.get("type") == "object":
                    found["additionalProperties"] = False
                close(found)
            for inner in schema.values():
                close(inner)
        elif isinstance(schema, list):
            for inner in schema:
                close(inner)

    for operations in document["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                close(content["schema"])


def _problem(status: int) -> Schema:
    detail, what_to_do = _EXAMPLE_PROBLEM[status]
    told = {
        "type": "about:blank",
        "title": titles[status],
        "status": status,
        "detail": detail,
        "what_to_do": what_to_do,
        "request_id": "8c1f0a52d1e64b7d",
    }
    headers = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    if status == 401:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/WWW-Authenticate"}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": REFUSALS[status],
        "headers": headers,
        "content": {"application/problem+json": {"schema": schema, "example": told}},
    }


_ALWAYS: Final = ("X-Request-Id", "RateLimit-Policy", "RateLimit")
_HEADERS: Final[Schema] = {
    "X-Request-Id": {"description": "Under this the request is in the server's log.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The quotas, and the seconds that they are for.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": "What is left of them, and in how many seconds all of it is back.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "Which kind of token is wanted.", "schema": {"type": "string"}},
}
_KEY: Final[Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A key of your own, such as a UUID: the same request under it is done once, and answered the same for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
_MEANING: Final = {
    "tenant": "The company, as in the addresses of its pages.",
    "q": "Words that each entry must have.",
    "client": "A client's id: only what is of this client.",
    "technician": "A member's id: only what is this technician's.",
    "device": "A device's id.",
    "session": "A session's id.",
    "since": "The first day, UTC.",
    "until": "The last day, UTC.",
    "who": "A member's id: only what they did.",
    "what": "A group of kinds.",
    "position": "The event's number in the session's record.",
    "identity": "A member's id.",
    "path": "The path on the device.",
    "replace": "An existing file may be replaced.",
    "start": "How many of the entries that fit to leave out; a record only grows, so that this stays right.",
    "at": "An event's position: give the part that holds it.",
    "time": "UTC microseconds: give the part that holds this moment.",
    "form": "The kind of file.",
    "outcome": "How the session ended.",
}
