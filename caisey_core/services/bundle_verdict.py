"""The verdict on a bundle: what a stranger can prove from one file and one public key, offline, without a database."""

from collections.abc import Container, Sequence
from typing import IO, Final

import msgspec

from caisey_core.domain import events as e
from caisey_core.record.bundle import Bundle, Shown, Whole, lines_shown, shown_holds, texts_of
from caisey_core.record.commitment import Commitment
from caisey_core.record.container import NotABundle
from caisey_core.record.verify import Broken
from caisey_core.services.session_check import AUDIT, Devices, SessionCheck, time_of
from caisey_core.services.verification import Verdict

MOST_AT_ONCE: Final = 10_000  # commands and transfers that run at one time
__all__ = ["verify_bundle"]


def verify_bundle(file: IO[bytes], vkey: str | None = None) -> Verdict:
    """Check a bundle under this key; without one, under the key that the bundle brings, and say so."""
    check = _Check()
    try:
        check.run(file, vkey)
    except NotABundle as error:
        return Verdict(ok=False, proved=tuple(check.proved), broken=f"This is no bundle that can be checked: {error}.")
    except Broken as broken:
        return Verdict(ok=False, proved=tuple(check.proved), broken=f"{broken}{check.when(broken)}")
    except (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        return Verdict(ok=False, proved=tuple(check.proved), broken=f"{check.where()}this cannot be read ({error})")
    return Verdict(ok=True, proved=tuple(check.proved), sentence=check.sentence)


class _Check:
    """One pass over a bundle; `proved` grows by a line for each promise that holds."""

    def __init__(self) -> None:
        self.proved: list[str] = []
        self.sentence = ""
        self._devices = Devices()
        self._exported: e.SessionExported | None = None
        self._exported_by = ""
        self._last: tuple[str, int, int] | None = None  # stream, position and time of the newest event that could be read
        self._shown = self._withheld = 0

    def where(self) -> str:
        """Say how far the check came."""
        return f"{self._last[0]}, after event {self._last[1]}: " if self._last is not None else ""

    def when(self, broken: Broken) -> str:
        """Say when what is broken happened, as far as the bundle still tells."""
        if broken.position is None or self._last is None or self._last[0] != broken.stream:
            return ""
        return f" ({'at' if self._last[1] == broken.position else 'after'} {time_of(self._last[2])})"

    def run(self, file: IO[bytes], vkey: str | None) -> None:
        """Check everything, in the order of the promises."""
        bundle = Bundle(file)
        log = bundle.check_checkpoint(vkey)
        if vkey is not None:
            self.proved.append("The key is the one that you gave.")
        else:
            self.proved.append(
                "The key was taken from the bundle itself. Compare it with the one that you have from "
                f"{bundle.manifest.tenant}: {bundle.keys.tenant[-1]}"
            )
        bundle.check_log()
        self.proved.append(
            f"The tenant's key signed the root of its log of {log.size} leaves; the session and the audit log are in it."
        )
        self._audit(bundle)
        check = self._session(bundle)
        self.proved.extend(check.proved())
        self._texts(check)
        files = bundle.check_files()
        assert self._exported is not None
        if files != self._exported.files:
            raise Broken("the files for reading are not those that were exported")
        self.proved.append(
            f"The files for reading are as {self._exported_by} exported them, {time_of(self._exported.at)}"
            + (f"; {len(bundle.edits)} texts in them are a reviewer's, not the record's." if bundle.edits else ".")
        )
        self.sentence = check.sentence()

    def _audit(self, bundle: Bundle) -> None:
        keys, told = bundle.keys, bundle.manifest
        began = False
        for position, data in bundle.told():
            event = e.decode(data)
            self._last = (AUDIT, position, event.at)
            self._devices.take(position, event)
            if isinstance(event, e.TenantCreated):
                if event.key != keys.tenant[0] or event.name != told.tenant:
                    raise Broken("the tenant began with another key or name than the bundle has", AUDIT, position)
                began = True
            elif isinstance(event, e.DeviceEnrolled):
                if event.key.hex() != keys.device:
                    raise Broken("the device enrolled with another key than the bundle has", AUDIT, position)
                self.proved.append(
                    f"The key of the device {event.name} is in the audit log, enrolled {time_of(event.at)}: {keys.device}"
                )
            elif isinstance(event, e.SessionExported):
                if str(event.session) != told.session or event.events != told.events:
                    raise Broken("this export is of another session or length", AUDIT, position)
                self._exported, self._exported_by = event, event.actor.name
        self._devices.withheld = not keys.device and not self._devices.keys
        if not began:
            raise Broken("the bundle does not prove how the tenant's key came to be", AUDIT)
        if len(keys.tenant) != 1:
            raise Broken("the bundle does not prove how the tenant's key was replaced", AUDIT)
        if self._exported is None:
            raise Broken("the bundle does not prove that it was exported", AUDIT)

    def _session(self, bundle: Bundle) -> SessionCheck:
        stream = bundle.stream
        check = SessionCheck(stream, self._devices)
        edits: dict[int, set[int]] = {}
        for edit in bundle.edits:
            edits.setdefault(edit.event, set()).add(edit.line)
        for position, data, shown in bundle.events():
            if not data:
                check.skip(position)
                if edits.pop(position, None):
                    raise Broken("a reviewer's text stands in the place of an event", stream, position)
                continue
            try:
                event, committed = e.read(data)
            except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
                raise Broken(f"this is no event ({error})", stream, position) from error
            self._last = (stream, position, event.at)
            if shown is not None:
                if not committed:
                    raise Broken("a text lies beside an event that has none", stream, position)
                if not shown_holds(shown, committed):
                    raise Broken("its text is not what was committed to", stream, position)
            hidden = self._count(shown, committed)
            if edits and any(line not in hidden for line in edits.pop(position, ())):
                raise Broken("a reviewer's text stands in the place of a line that is shown", stream, position)
            texts, seed = (shown.texts, shown.seed) if isinstance(shown, Whole) else (texts_of(shown), None)
            check.follow(position, event, texts, seed)
            if len(check.state.running) + len(check.state.begun) + len(check.state.transfers) > MOST_AT_ONCE:
                raise Broken(f"more than {MOST_AT_ONCE} commands at one time", stream, position)
        if edits:
            raise Broken("a reviewer's text stands in the place of a line that is not there", stream, min(edits))
        if check.state.sealed != bundle.manifest.sealed:
            raise Broken("the manifest does not tell whether the record is sealed", stream)
        return check

    def _count(self, shown: Shown, committed: Sequence[Commitment]) -> Container[int]:
        """Count shown and withheld lines, and return which of the event's lines are withheld."""
        if isinstance(shown, Whole):
            for one in committed:
                self._shown += one.lines
            return ()
        if shown is None:
            lines = sum(one.lines for one in committed)
            self._withheld += lines
            return range(lines)
        flat = [line for lines in lines_shown(shown) for line in lines]
        hidden = {at for at, line in enumerate(flat) if line is None}
        self._withheld += len(hidden)
        self._shown += len(flat) - len(hidden)
        return hidden

    def _texts(self, check: SessionCheck) -> None:
        said = f"{self._shown} lines are shown exactly as they were recorded"
        if self._withheld:
            said += f"; {self._withheld} are withheld or erased, each in its place"
        if uncompared := check.receipts.uncompared:
            said += f"; {uncompared} receipts are for texts of which something is withheld, so those were not compared"
        self.proved.append(f"{said}.")
        if check.unknown:
            self.proved.append(
                f"{check.unknown} events are of kinds that this version does not know: in place, not understood."
            )
