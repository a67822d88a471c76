"""What tests of transcripts and shares have in common: a session with chosen words, its review, and all that a link serves."""

import base64
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
from companies import Company
from doors import TLS, Person
from raw_device import RawDevice

from caisey_agent.protocol import frames as f
from caisey_agent.protocol import receipt
from caisey_core.services.bundle_verdict import verify_bundle


def ran(company: Company, device: RawDevice, session: str, line: str, *output: bytes, directory: str = "/") -> None:
    """Run a command whose output comes in these pieces."""
    company.people["tom"].post(f"/sessions/{session}/commands", {"line": line})
    run = device.hear(f.Run)
    if len(output) < 2:
        device.ran(run, b"".join(output), directory=directory)
        return
    device.say(f.Started(session=run.session, command=run.command, at=1))
    for piece in output[:-1]:
        device.say(f.Output(session=run.session, command=run.command, data=piece))
    finished(device, run, output, directory)


def forms(text: str) -> list[bytes]:
    """Return a text's bytes as they are, in hex, and within base64 of whatever stands before it."""
    data = text.encode()
    found = [data, data.hex().encode(), data.hex().upper().encode()]
    for lead in range(3):
        packed = base64.b64encode(b"\0" * lead + data)
        found.append(packed[(lead * 8 + 5) // 6 : (lead + len(data)) * 8 // 6])
    return found


def finished(device: RawDevice, run: f.Run, output: tuple[bytes, ...], directory: str) -> None:
    """Send the last piece and the receipt over all of them."""
    device.say(f.Output(session=run.session, command=run.command, data=output[-1]))
    whole = b"".join(output)
    said = msgspec.msgpack.encode(
        receipt.CommandReceipt(
            session=run.session,
            command=run.command,
            line=hashlib.sha256(run.seed + run.line).digest(),
            shell="bash",
            account="somebody",
            started_at=1,
            duration_ns=1,
            exit_code=0,
            output=hashlib.sha256(run.seed + whole).digest(),
            output_size=len(whole),
            previous=device.previous.get(run.session, receipt.NO_RECEIPT),
        )
    )
    device.previous[run.session] = hashlib.sha256(said).digest()
    end = f.Finished(
        session=run.session,
        command=run.command,
        receipt=said,
        signature=receipt.sign(device.key, said),
        directory=directory,
    )
    device.settled(device.say(end))


@dataclass
class Review:
    """A transcript under review, as its API shows it."""

    by: Person
    id: str
    version: int = 0
    cuts: dict[str, Any] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    device: bool = True

    @classmethod
    def of(cls, by: Person, session: str) -> "Review":
        """Begin one."""
        return cls(by, by.post(f"/sessions/{session}/transcripts", status=(201,))["id"])

    def page(self) -> Any:
        """Return lines and marks."""
        return self.by.get(f"/transcripts/{self.id}")

    def line(self, text: str) -> Any:
        """Return the first line of a text that has these words."""
        return next(line for line in self.page()["lines"] if text in line["text"] and line["pieces"])

    def event(self, text: str) -> Any:
        """Return the first event whose own words have these."""
        return next(line for line in self.page()["lines"] if text in line["text"] and not line["pieces"])

    def withhold(self, *ids: str) -> "Review":
        """Withhold whole lines or events."""
        self.cuts.update({one: {} for one in ids})
        return self

    def part(self, text: str, words: str) -> "Review":
        """Withhold a part of a line."""
        line = self.line(text)
        at = line["text"].index(words)
        spans = [*self.cuts.get(line["id"], {}).get("spans", []), [at, at + len(words)]]
        self.cuts[line["id"]] = {"spans": spans}
        return self

    def keep_marks(self) -> "Review":
        """Say of every mark that it may stay."""
        self.kept = [f"{x['id']}:{m['start']}-{m['end']}" for x in self.page()["lines"] for m in x["marks"]]
        return self

    def save(self, status: tuple[int, ...] = (200,)) -> Any:
        """Save what was decided."""
        body = {"version": self.version, "cuts": self.cuts, "kept": self.kept, "device": self.device}
        saved = self.by.post(f"/transcripts/{self.id}/decisions", body, status)
        self.version = saved.get("version", self.version)
        return saved

    def follow(self) -> Any:
        """Withhold also where withheld words still stand, until they stand nowhere."""
        for _ in range(20):
            saved = self.save()
            if not saved["leaks"]:
                return saved
            for leak in saved["leaks"]:
                if leak["where"] == "enrolment":
                    self.device = False
                else:
                    self.withhold(str(leak["event"]) if leak["whole"] else leak["where"])
        raise AssertionError(saved["leaks"])

    def publish_saved(self, **more: Any) -> Any:
        """Save and publish."""
        self.save()
        return self.publish(**more)

    def publish(self, status: tuple[int, ...] = (201,), **more: Any) -> Any:
        """Publish, as somebody who has looked at all lines."""
        lines = self.by.get(f"/transcripts/{self.id}/standing")["lines"]
        body = {"version": self.version, "acknowledged": lines, **more}
        return self.by.post(f"/transcripts/{self.id}/publish", body, status)


@dataclass
class Served:
    """Everything that a link serves, unpacked."""

    page: httpx2.Response
    bundle: bytes
    parts: dict[str, bytes]

    @property
    def everything(self) -> bytes:
        """Return all bytes of it, with the headers."""
        heads = "\n".join(f"{name}: {value}" for name, value in self.page.headers.items()).encode()
        return b"\0".join([self.page.content, heads, *self.parts.values()])


def reader(**more: Any) -> httpx2.Client:
    """Somebody without an account."""
    return httpx2.Client(timeout=30, verify=TLS, headers={"accept": "text/html"}, **more)


def served(link: str, client: httpx2.Client | None = None) -> Served:
    """Open a link and fetch all that it leads to."""
    who = client or reader()
    page, bundle, cast = who.get(link), who.get(f"{link}/bundle"), who.get(f"{link}/terminal.cast")
    if client is None:
        who.close()
    assert page.status_code == 200, page.text
    assert bundle.status_code == 200
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    return Served(page, bundle.content, {**parts, "cast": cast.content, "zip": bundle.content})


def holds(bundle: bytes) -> str:
    """Check a bundle; returns what was proved."""
    verdict = verify_bundle(io.BytesIO(bundle))
    assert verdict.ok, verdict.broken
    return "\n".join(verdict.proved)


def told(company: Company, kind: str) -> list[str]:
    """Return the sentences of the audit log about one kind of event, newest first."""
    lines = company.browser("auditor").get(f"/t/{company.slug}/audit/export?form=ocsf").text.splitlines()
    return [json.loads(line)["message"] for line in lines if json.loads(line)["unmapped"]["kind"] == kind]
