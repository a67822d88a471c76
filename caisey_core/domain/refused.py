"""A refusal is a value: what a person asked for cannot be, and here is why."""

from typing import Literal

from msgspec import Struct


class Wrong(Struct, frozen=True):
    """One input that is wrong, by its name, and why."""

    field: str
    reason: str


class Refused(Struct, frozen=True):
    """`reason` and `what_to_do` are whole sentences for the person who asked.

    `status` is the HTTP status that tells it best: 403 not allowed, 404 not there or not yours, 409 not now, 422 bad input.
    `field` names the input that is wrong, where one is; `wrong` has all of them where several are told at once.
    `sign_in_again`: the person may, but must first prove who they are.
    """

    reason: str
    what_to_do: str
    status: Literal[401, 403, 404, 405, 409, 413, 422, 429, 500, 503] = 409
    field: str = ""
    retry_after_seconds: float | None = None
    wrong: tuple[Wrong, ...] = ()
    sign_in_again: bool = False
