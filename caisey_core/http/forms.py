"""Forms and filters as a browser sends them: strings, some repeated, some empty; decoded field by field into a Struct."""

from typing import Protocol, TypeVar, get_origin

import msgspec
from msgspec import Struct

from caisey_core.domain.refused import Refused
from caisey_core.http.problems import RefusedError
from caisey_core.http.rendering import AnyRequest

T = TypeVar("T", bound=Struct)


class Values(Protocol):
    """What a browser sent, by name."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        """Return all values under a name."""
        ...


def decode(given: Values, wanted: type[T]) -> T:
    """Return the Struct. An empty value counts as not given, unless the field is a text. Raises RefusedError naming the field."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(wanted):
        sent = [str(value) for value in given.getall(field.name, [])]
        chosen: object
        if get_origin(field.type) is tuple:
            chosen = [value for value in sent if value]
        elif sent and (sent[-1] or field.type is str):
            chosen = sent[-1]
        else:
            continue
        try:
            values[field.name] = msgspec.convert(chosen, field.type, strict=False)
        except msgspec.ValidationError:
            name = field.name.replace("_", " ")
            raise RefusedError(
                Refused(f"What was given as “{name}” cannot be read.", "Correct it and try again.", 422, field.name)
            ) from None
    try:
        return wanted(**values)
    except TypeError:
        missing = next(field.name for field in msgspec.structs.fields(wanted) if field.required and field.name not in values)
        words = missing.replace("_", " ")
        raise RefusedError(Refused(f"“{words}” is missing.", "Fill it in and try again.", 422, missing)) from None


async def form(request: AnyRequest, wanted: type[T]) -> T:
    """Return the request's form."""
    return decode(await request.form(), wanted)


def query(request: AnyRequest, wanted: type[T]) -> T:
    """Return the filters in the request's address; one that cannot be read is as if it were not there."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(wanted):
        sent = request.query_params.get(field.name, "")
        if sent:
            try:
                values[field.name] = msgspec.convert(sent, field.type, strict=False)
            except msgspec.ValidationError:
                continue
    return wanted(**values)
