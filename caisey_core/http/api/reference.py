"""The API's description as people read it: one entry an operation, with its parameters, bodies and answers."""

from typing import Any

from msgspec import Struct

from caisey_core.http.api.description import BASE
from caisey_core.http.api.examples import Schema, printed


class Parameter(Struct, frozen=True):
    name: str
    place: str  # path, query, header
    kind: str
    required: bool
    about: str


class Told(Struct, frozen=True):
    """An answer: its status, what it means, its media types, and an example where it is JSON."""

    status: str
    about: str
    media: str
    example: str


class Operation(Struct, frozen=True):
    id: str
    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[Parameter, ...]
    body: str  # an example
    body_media: str
    answers: tuple[Told, ...]
    refusals: tuple[Told, ...]


class Subject(Struct, frozen=True):
    name: str
    about: str
    operations: tuple[Operation, ...]


class Reference(Struct, frozen=True):
    version: str
    about: tuple[str, ...]  # paragraphs
    subjects: tuple[Subject, ...]


def reference(document: Schema) -> Reference:
    """Return a completed document for the page."""
    of: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path.startswith(BASE):
                of[operation["tags"][0]].append(_operation(document, path, method.upper(), operation))
    subjects = (Subject(tag["name"], tag["description"], tuple(of[tag["name"]])) for tag in document["tags"])
    paragraphs = tuple(document["info"]["description"].strip().split("\n\n"))
    return Reference(document["info"]["version"], paragraphs, tuple(subjects))


def _operation(document: Schema, path: str, method: str, operation: Schema) -> Operation:
    bodies: Schema = operation.get("requestBody", {}).get("content", {})
    media = next(iter(bodies), "")
    answers = [(status, _whole(document, one)) for status, one in operation["responses"].items()]
    return Operation(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        about=operation["description"].removeprefix(operation["summary"]).strip(" .:;"),
        parameters=tuple(_parameter(_whole(document, one)) for one in operation.get("parameters", [])),
        body=printed(bodies[media]["example"]) if media == "application/json" else "",
        body_media=media,
        answers=tuple(_told(status, one) for status, one in answers if status < "400"),
        refusals=tuple(_told(status, one) for status, one in answers if status >= "400"),
    )


def _whole(document: Schema, found: Schema) -> Schema:
    while "$ref" in found:
        inner: Any = document
        for part in found["$ref"].removeprefix("#/").split("/"):
            inner = inner[part]
        found = inner
    return found


def _parameter(found: Schema) -> Parameter:
    schema = found["schema"]
    choices = [one for one in schema.get("oneOf", [schema]) if one.get("type") != "null"]
    kind = ", ".join(
        " | ".join(f"“{value}”" for value in one["enum"] if value)
        if "enum" in one
        else str(one.get("format") or one.get("type", ""))
        for one in choices
    )
    return Parameter(found["name"], found["in"], kind, bool(found.get("required")), found.get("description", ""))


def _told(status: str, found: Schema) -> Told:
    content: Schema = found.get("content", {})
    shown = next((one["example"] for media, one in content.items() if media.endswith("json") and "example" in one), None)
    return Told(status, found["description"], ", ".join(content), printed(shown) if shown is not None else "")
