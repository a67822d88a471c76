"""Judges what an admin entered for a plugin's settings, field by field, so that all that is wrong is said at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from caisey_core.plugin_host.entered import MOST_ROWS, Kept, Row
from caisey_core.plugin_host.masking import Mask
from caisey_core.plugin_host.settings import Setting, concealed, revealed

MISSING: Final = "Fill this in."
_LINES: Final = frozenset("\n\t")


class Complaint(Struct, frozen=True):
    """What is wrong with one field; the path is the field's name in the form."""

    path: str
    words: str


class Judged(Struct, frozen=True):
    """Settings as they may be stored, secrets in clear; or what is wrong with them."""

    settings: dict[str, Any]
    complaints: tuple[Complaint, ...]


class _Wrong(Exception):
    """One field cannot be taken; its words."""


class _Judge:
    def __init__(self, stored: Mapping[str, Any], *, typed: bool) -> None:
        self.typed = typed
        self.secrets = stored
        self.complaints: list[Complaint] = []
        self.seen: list[str] = []  # texts of secrets

    def group(self, form: Sequence[Setting], entered: Mapping[str, Any], within: str) -> dict[str, Any]:
        names = {one.name for one in form}
        self.complaints += [
            Complaint(within + name, "There is no setting of this name.") for name in entered if name not in names
        ]
        found = {}
        for one in form:
            if one.name not in entered and not one.required:
                found[one.name] = one.default
                continue
            try:
                found[one.name] = self.one(one, entered.get(one.name), within + one.name)
            except _Wrong as error:
                self.complaints.append(Complaint(within + one.name, str(error)))
        return found

    def one(self, setting: Setting, entered: Any, path: str) -> Any:
        if setting.shape in ("group", "groups"):
            before = len(self.complaints)
            value = self._groups(setting, entered, path)
            return value if len(self.complaints) > before else self._fits(setting, value)
        if isinstance(entered, Kept):
            if setting.shape != "secret":
                raise _Wrong(f"Enter {_expected(setting)}.")
            entered = self._kept(entered.path)
        value = self._read(setting, entered)
        if value is None:
            if setting.nullable:
                return None
            if setting.required or not self.typed:
                raise _Wrong(MISSING)
            return setting.default
        return self._fits(setting, value)

    def _groups(self, setting: Setting, entered: Any, path: str) -> Any:
        if setting.shape == "group":
            if entered is None and setting.nullable:
                return None
            if entered is not None and not isinstance(entered, dict):
                raise _Wrong("Enter a group of settings.")
            return self.group(setting.fields, entered or {}, f"{path}.")
        rows = [] if entered is None else entered
        if not isinstance(rows, list):
            raise _Wrong("Enter a list of groups.")
        if entered is None and setting.nullable:
            return None
        if len(rows) > (most := min(MOST_ROWS, setting.longest or MOST_ROWS)):
            raise _Wrong(f"There may be {most} at most.")
        if len(rows) < (setting.shortest or 0):
            raise _Wrong(f"There must be {setting.shortest} at least.")
        return [self._row(setting, row, path) for row in rows]

    def _row(self, setting: Setting, row: Row, path: str) -> dict[str, Any]:
        if not isinstance(row.entered, dict):
            raise _Wrong("Enter a list of groups.")
        return self.group(setting.fields, row.entered, f"{path}.{row.key}.")

    def _kept(self, path: str) -> str | None:
        """Return the stored secret at a place. Only the form's own places are asked for by a browser; a program names one that
        it read. What is no secret is not given away: it was shown there, and is shown here as the secret that it becomes."""
        found: Any = self.secrets
        for part in path.split("."):
            if isinstance(found, dict):
                found = found.get(part)
            elif isinstance(found, list) and part.isdecimal() and len(part) < 6 and int(part) < len(found):
                found = found[int(part)]
            else:
                return None
        return found if isinstance(found, str) else None

    def _read(self, setting: Setting, entered: Any) -> Any:
        """Return what is meant by what an input holds; None for nothing."""
        match setting.shape:
            case "text" | "lines":
                return self._text(setting, entered)
            case "secret":
                if entered is not None and not isinstance(entered, str):
                    raise _Wrong("Enter the secret as a text.")
                self.seen.append(entered or "")
                return entered or None
            case "choice":
                return _chosen(setting, entered)
            case "several":
                if not isinstance(entered, list | None):
                    raise _Wrong(f"Enter {_expected(setting)}.")
                chosen = {_chosen(setting, one) for one in entered or ()}
                return [option.value for option in setting.options if option.value in chosen]
            case "texts":
                return self._texts(setting, entered)
            case "json" if self.typed:
                try:
                    return msgspec.json.decode(entered) if entered.strip() else None
                except (msgspec.DecodeError, RecursionError) as error:
                    raise _Wrong("This is no JSON.") from error
            case "integer" | "number" if self.typed:
                return entered.strip() or None
        return entered

    def _text(self, setting: Setting, entered: Any) -> str | None:
        if entered is not None and not isinstance(entered, str):
            raise _Wrong(f"Enter {_expected(setting)}.")
        allowed = _LINES if setting.shape == "lines" else frozenset()
        text = (entered or "").replace("\r\n", "\n")
        text = text if setting.shape == "lines" else text.strip()
        if any(ord(char) < 32 and char not in allowed for char in text) or "\x7f" in text:
            raise _Wrong("This has line breaks or control characters, which cannot be here.")
        if not text and (setting.nullable or setting.required or entered is None):
            return None
        return text

    def _texts(self, setting: Setting, entered: Any) -> list[Any]:
        if self.typed:
            entered = entered.split("\n")
        if not isinstance(entered, list | None):
            raise _Wrong(f"Enter {_expected(setting)}.")
        one = Setting(name="", title="", shape="text", required=True, nullable=False)
        read = [self._text(one, item) if isinstance(item, str) else item for item in entered or ()]
        return [item for item in read if item is not None]

    def _fits(self, setting: Setting, value: Any) -> Any:
        """Return the value as the field's own type takes it. What msgspec says may quote nothing that was entered."""
        try:
            loose = self.typed and setting.shape in ("integer", "number", "texts", "json")
            made = msgspec.convert(value, setting.type, strict=not loose, str_keys=True, dec_hook=concealed)
            again = msgspec.json.decode(msgspec.json.encode(made, enc_hook=revealed))
            msgspec.convert(again, setting.type, str_keys=True, dec_hook=concealed)  # JSON has no NaN, for example
        except (msgspec.MsgspecError, UnicodeError, OverflowError, ValueError, TypeError) as error:
            own = str(error) if setting.shape in ("group", "groups") and error.__cause__ is not None else ""
            raise _Wrong(_sentence(own) if own else f"Enter {_expected(setting)}.") from error
        return again


def _chosen(setting: Setting, entered: Any) -> Any:
    if entered is None or entered == "":
        return None
    for option in setting.options:
        if entered == option.value or entered == str(option.value):
            return option.value
    raise _Wrong(f"Choose one of: {', '.join(option.label for option in setting.options)}.")


def _expected(setting: Setting) -> str:
    """Say what a field takes."""
    least, most, shortest, longest = setting.least, setting.most, setting.shortest, setting.longest
    match setting.shape:
        case "integer" | "number":
            what = "a whole number" if setting.shape == "integer" else "a number"
            if least is not None and most is not None:
                return f"{what} from {least:g} to {most:g}"
            return what + (
                f" of {least:g} or more" if least is not None else f" of {most:g} or less" if most is not None else ""
            )
        case "text" | "lines":
            what = f"{shortest} to {longest} characters" if shortest and longest else "a text"
            if not (shortest and longest):
                what += (
                    f" of at least {shortest} characters"
                    if shortest
                    else f" of {longest} characters at most"
                    if longest
                    else ""
                )
            return what + (f" of the form {setting.pattern}" if setting.pattern else "")
        case "texts" | "several":
            what = "a list" if setting.shape == "several" else "one value on each line"
            if shortest or longest:
                what += f", {shortest or 0} to {longest} of them" if longest else f", at least {shortest}"
            return what
        case "flag":
            return "yes or no"
        case "group" | "groups":
            return "settings that fit each other"
    return "what this setting can take"


def _sentence(words: str) -> str:
    text = words.partition(" - at `")[0].strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def judge(
    form: Sequence[Setting], kind: type[Struct], entered: Mapping[str, Any], stored: Mapping[str, Any], *, typed: bool
) -> Judged:
    """Judge what was entered; `stored` has the secrets that are kept, `typed` says that it came from a form.

    Runs the plugin's own code (its Structs may check themselves): call it on the plugin's thread.
    """
    judged = _Judge(stored, typed=typed)
    found = judged.group(form, entered, "")
    if not judged.complaints:
        whole = Setting(name="", title="", shape="group", required=True, nullable=False, type=kind)
        try:
            found = judged._fits(whole, found)
        except _Wrong as error:
            judged.complaints.append(Complaint("", str(error)))
    mask = Mask(judged.seen)  # a Struct that checks itself may quote them
    return Judged(found, tuple(Complaint(one.path, mask(one.words)) for one in judged.complaints))
