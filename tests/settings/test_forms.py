"""Every Settings Struct has a form, and what the form gives back is what was stored."""

import enum
import string
from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from caisey_core.plugin_host.entered import Kept, as_entered, from_form, from_json, pairs, without_secrets
from caisey_core.plugin_host.judge import MISSING, Judged, judge
from caisey_core.plugin_host.sealing import TenantKey
from caisey_core.plugin_host.settings import Setting, Unsuited, concealed, form_of, plain
from caisey_hookspecs import Secret


class Fields(dict[str, list[str]]):
    """What a browser sent."""

    def getall(self, key: str, default: list[str]) -> list[str]:
        return self.get(key, default)


def send(form: tuple[Setting, ...], entered: dict[str, Any]) -> Fields:
    """Send a form as a browser does: line breaks become CR LF."""
    sent = Fields()
    for name, value in pairs(form, entered):
        sent.setdefault(name, []).append(value.replace("\n", "\r\n"))
    return sent


def again(kind: type[Struct], stored: dict[str, Any]) -> Judged:
    """Show what is stored in a form and send that unchanged."""
    form = form_of(kind)
    return judge(form, kind, from_form(form, send(form, as_entered(form, stored))), stored, typed=True)


# --- any Struct ---


class Colour(enum.Enum):
    RED = "red"
    GREEN = "dark green"


letters = st.text(string.ascii_letters + string.digits + "äß€ .,:;'\"<>&-", min_size=1, max_size=12)
words = letters.map(lambda text: text.strip() or "x")
lines = st.lists(words, min_size=1, max_size=3).map("\n".join)
secrets = st.text(min_size=1, max_size=20).filter(lambda text: text == text.encode(errors="replace").decode()).map(Secret)
Made = tuple[Any, st.SearchStrategy[Any]]


def field_types() -> st.SearchStrategy[Made]:
    """A type of a field, and its values."""
    leaf: list[Made] = [
        (str, words),
        (Annotated[str, Meta(title="A text", max_length=12, min_length=1, pattern="^")], words),
        (Annotated[str, Meta(extra_json_schema={"format": "multi-line"})], lines),
        (int, st.integers(-(2**63), 2**63 - 1)),
        (Annotated[int, Meta(ge=1, le=7)], st.integers(1, 7)),
        (float, st.floats(allow_nan=False, allow_infinity=False)),
        (bool, st.booleans()),
        (bool | None, st.sampled_from([True, False, None])),
        (Secret, secrets),
        (Secret | None, st.none() | secrets),
        (str | None, st.none() | words),
        (int | None, st.none() | st.integers(0, 99)),
        (Literal["a", "b b", 3], st.sampled_from(["a", "b b", 3])),
        (Colour, st.sampled_from(Colour)),
        (Colour | None, st.none() | st.sampled_from(Colour)),
        (tuple[str, ...], st.lists(words, max_size=3).map(tuple)),
        (list[int], st.lists(st.integers(-5, 5), max_size=3)),
        (frozenset[Colour], st.frozensets(st.sampled_from(Colour))),
        (frozenset[str], st.frozensets(words, max_size=3)),
        (date, st.dates()),
        (UUID, st.uuids()),
        (timedelta, st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds))),
        (dict[str, int], st.dictionaries(words, st.integers(0, 9), max_size=2)),
        (int | str, st.integers(0, 9) | words),
        (tuple[int, str], st.tuples(st.integers(0, 9), words)),
    ]

    def nested(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
        def around(made: tuple[type[Struct], st.SearchStrategy[Any]], shape: str) -> Made:
            kind, values = made
            if shape == "group":
                return kind, values
            if shape == "maybe":
                return kind | None, st.none() | values
            return tuple[kind, ...], st.lists(values, max_size=3).map(tuple)  # type: ignore[valid-type]

        return st.builds(around, structs(inner), st.sampled_from(["group", "maybe", "groups"]))

    return st.recursive(st.sampled_from(leaf), nested, max_leaves=8)


def structs(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[tuple[type[Struct], st.SearchStrategy[Any]]]:
    """A Struct type, and its values."""

    def make(fields: list[Made], rename: str | None) -> tuple[type[Struct], st.SearchStrategy[Any]]:
        kind = msgspec.defstruct("Made", [(f"field_{n}", one[0]) for n, one in enumerate(fields)], rename=rename)
        return kind, st.builds(kind, *[one[1] for one in fields])

    return st.builds(make, st.lists(inner, min_size=1, max_size=4), st.sampled_from([None, "camel", "kebab"]))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_form_gives_back_what_was_stored(data: st.DataObject) -> None:
    """From Struct to form, as a browser sends it, to Struct; and the same as a program reads and sends it. No secret is shown."""
    kind, values = data.draw(structs(field_types()))
    value = data.draw(values)
    stored = msgspec.json.decode(msgspec.json.encode(plain(value)))
    form = form_of(kind)
    judged = again(kind, stored)
    assert judged.complaints == ()
    assert msgspec.convert(judged.settings, kind, str_keys=True, dec_hook=concealed) == value
    shown = msgspec.json.decode(msgspec.json.encode(without_secrets(form, stored)))
    assert judge(form, kind, from_json(form, shown), stored, typed=False) == judged
    assert judge(form, kind, from_form(form, Fields()), {}, typed=True).settings is not None  # an empty form harms nobody


# --- single fields ---


class Account(Struct):
    user: Annotated[str, Meta(title="User name", min_length=2)]
    password: Secret


class Example(Struct, forbid_unknown_fields=True):
    url: Annotated[str, Meta(title="Address", description="Where it is.", pattern="^https://", examples=["https://x.example"])]
    token: Annotated[Secret, Meta(title="Token")]
    spare: Secret | None = None
    region: Annotated[Literal["eu", "us"], Meta(extra_json_schema={"labels": {"eu": "Europe"}})] = "eu"
    port: Annotated[int, Meta(ge=1, le=65535)] = 443
    note: Annotated[str, Meta(extra_json_schema={"format": "multi-line"})] = "none"
    accounts: tuple[Account, ...] = ()


STORED: dict[str, Any] = {
    "url": "https://one.example",
    "token": "first token",
    "spare": "spare token",
    "accounts": [{"user": "ada", "password": "of ada"}, {"user": "bob", "password": "of bob"}],
}


def shown(change: Callable[[Fields], None]) -> Judged:
    """Change what the browser sends for what is stored, and judge it."""
    form = form_of(Example)
    sent = send(form, as_entered(form, STORED))
    change(sent)
    return judge(form, Example, from_form(form, sent), STORED, typed=True)


def test_words_come_from_the_struct() -> None:
    """Title, help, example, bounds and labels; without a title the name."""
    url, token, spare, region, port, note, accounts = form_of(Example)
    assert (url.title, url.help, url.placeholder, url.required) == ("Address", "Where it is.", "https://x.example", True)
    assert [(one.shape, one.removable) for one in (token, spare)] == [("secret", False), ("secret", True)]
    assert [one.label for one in region.options] == ["Europe", "us"]
    assert (port.title, port.least, port.most, note.shape, note.default) == ("Port", 1, 65535, "lines", "none")
    assert (accounts.shape, [one.title for one in accounts.fields]) == ("groups", ["User name", "Password"])


def test_secrets_are_kept_replaced_or_removed() -> None:
    """Empty keeps; a text replaces; the tick removes what may be removed. Nothing that is shown holds one."""
    form = form_of(Example)
    entered = as_entered(form, STORED)
    assert (entered["token"], entered["spare"]) == (Kept("token"), Kept("spare"))
    for text in (repr(list(pairs(form, entered))), repr(without_secrets(form, STORED))):
        assert "token" in text
        assert not any(f" {word}" in text for word in ("token'", "ada'", "bob'"))
    assert shown(lambda sent: None).settings["token"] == "first token"
    assert shown(lambda sent: sent.update(token=["second"])).settings["token"] == "second"
    assert shown(lambda sent: sent.update({"spare.remove": ["on"]})).settings["spare"] is None
    (complaint,) = shown(lambda sent: sent.update({"token.remove": ["on"]})).complaints
    assert (complaint.path, complaint.words) == ("token", MISSING)


def test_rows_keep_their_own_secrets() -> None:
    """When the first row goes or the order changes, each that stays has its password; a new one needs one."""

    def second_only(sent: Fields) -> None:
        sent["accounts"] = ["1", "n0"]
        sent["accounts.n0.user"], sent["accounts.n0.password"] = ["cem"], ["of cem"]

    rows = shown(second_only).settings["accounts"]
    assert rows == [{"user": "bob", "password": "of bob"}, {"user": "cem", "password": "of cem"}]
    (complaint,) = shown(lambda sent: sent.update({"accounts": ["n3"], "accounts.n3.user": ["dan"]})).complaints
    assert (complaint.path, complaint.words) == ("accounts.n3.password", MISSING)
    form = form_of(Example)
    read = without_secrets(form, STORED)
    read["accounts"] = [read["accounts"][1]]
    by_program = judge(form, Example, from_json(form, read), STORED, typed=False)
    assert by_program.settings["accounts"] == [{"user": "bob", "password": "of bob"}]


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Each wrong field has its words, none of which quotes what was entered."""
    wrong = {"url": ["ftp://evil"], "port": ["70000"], "region": ["mars"], "accounts.1.user": ["b"]}
    said = {one.path: one.words for one in shown(lambda sent: sent.update(wrong)).complaints}
    assert said.keys() == {"url", "port", "region", "accounts.1.user"}
    assert said["port"] == "Enter a whole number from 1 to 65535."
    assert said["region"] == "Choose one of: Europe, us."
    assert said["accounts.1.user"] == "Enter a text of at least 2 characters."
    assert not any("evil" in words or "mars" in words for words in said.values())


def test_what_a_program_may_not_send() -> None:
    """Unknown names, wrong types, places of secrets that are none: complaints, never an exception."""
    form = form_of(Example)
    odd: dict[str, Any] = {
        "url": 7,
        "token": {"kept": "nowhere"},
        "spare": ["x"],
        "region": {},
        "port": "443",
        "note": "a\0b",
        "accounts": [{"user": "ada", "password": {"kept": "accounts.9.password"}}, 5],
        "other": 1,
    }
    judged = judge(form, Example, from_json(form, odd), STORED, typed=False)
    assert {one.path for one in judged.complaints} >= {"url", "token", "spare", "region", "port", "note", "other", "accounts"}


class Pair(Struct):
    least: int = 1
    most: int = 2

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ValueError("the least is more than the most")


class Holds(Struct):
    pair: Pair = msgspec.field(default_factory=Pair)


def test_what_a_group_says_of_itself() -> None:
    """A Struct that checks itself speaks beside its group."""
    form = form_of(Holds)
    (complaint,) = judge(form, Holds, {"pair": {"least": "5", "most": "4"}}, {}, typed=True).complaints
    assert (complaint.path, complaint.words) == ("pair", "The least is more than the most.")


def test_structs_that_no_form_can_show() -> None:
    """A Secret where it could not be sealed, a name that no form can carry: refused, in words for the author."""

    class Listed(Struct):
        tokens: tuple[Secret, ...]

    class Named(Struct):
        value: Annotated[str, Meta()] = msgspec.field(name="a.b")

    for kind, words in ((Listed, "no form can keep"), (Named, "other characters")):
        with pytest.raises(Unsuited, match=words):
            form_of(kind)


class Before(Struct):
    token: Secret
    accounts: tuple[Account, ...]


class After(Struct):
    token: str
    accounts: Any


def test_a_secret_that_a_new_version_calls_none_is_not_shown() -> None:
    """What was stored as a secret stays one, whatever the form says of it now."""
    stored = {"token": "of before", "accounts": [{"user": "ada", "password": "of ada"}]}
    sealed = msgspec.json.decode(TenantKey.new(UUID(int=1)).seal("mail", form_of(Before), stored))
    form = form_of(After)
    entered = as_entered(form, sealed)
    assert entered["token"] == ""
    assert msgspec.json.decode(entered["accounts"]) == [{"user": "ada", "password": None}]
    assert without_secrets(form, sealed) == {"token": None, "accounts": [{"user": "ada", "password": None}]}


names = ["url", "token", "spare", "region", "port", "note", "accounts", "user", "password"]
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.just({"kept": "accounts.0"}),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*names, "x"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(names), json, max_size=7))
def test_nothing_that_a_program_sends_is_an_exception(sent: dict[str, Any]) -> None:
    """It is judged: complaints in words, or settings that the Struct takes."""
    form = form_of(Example)
    judged = judge(form, Example, from_json(form, sent), STORED, typed=False)
    assert all(complaint.words for complaint in judged.complaints)
    if not judged.complaints:
        msgspec.convert(judged.settings, Example, dec_hook=concealed)


@given(
    st.dictionaries(
        st.sampled_from([*names, "accounts.0.user", "accounts.0.password"]), st.lists(st.text(max_size=6), max_size=2)
    )
)
def test_nothing_that_a_browser_sends_is_an_exception(sent: dict[str, list[str]]) -> None:
    """The same for a form."""
    form = form_of(Example)
    judged = judge(form, Example, from_form(form, Fields(sent)), STORED, typed=True)
    assert all(complaint.words for complaint in judged.complaints)
