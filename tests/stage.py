"""What each company has while its doors are tried: a device with a session in which a command ran and a file was fetched."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from companies import Companies, Company
from sharing import Review

from caisey_agent.protocol import frames as f

FILE = b"the content of a file"
OUTPUT = b"what the command put out"
PLUGIN = "local-accounts"  # every company has it, and none can disable it: it is their only way to sign in
POSITION = "4"  # of an event that each session has


@dataclass
class Stage:
    """A company's ids by the name that they have in addresses, and makers of those that a door uses up."""

    company: Company
    ids: dict[str, str]
    fresh: dict[str, Callable[[], str]] = field(default_factory=dict)

    def id(self, name: str) -> str:
        """Return an id that stands for this part of an address."""
        return self.fresh[name]() if name in self.fresh else self.ids[name]


def unknown(name: str) -> str:
    """Return an id of nothing."""
    return "9999999" if name == "position" else str(uuid4())


def set_stage(companies: Companies, company: Company) -> Stage:
    """Play a company's first minutes."""
    desk = companies.raw_device(company, "DESK", "Harbor")
    spare = companies.raw_device(company, "SPARE", "Harbor")
    tom, dispatcher, admin = (company.people[who] for who in ("tom", "dispatcher", "admin"))
    session = company.active("DESK")
    command = tom.post(f"/sessions/{session}/commands", {"line": "hostname"})["id"]
    desk.ran(desk.hear(f.Run), OUTPUT)
    transfer = tom.post(f"/sessions/{session}/files/download", {"path": "/etc/hostname"})["id"]
    asked = desk.hear(f.GetFile)
    desk.say(f.FileChunk(session=asked.session, transfer=asked.transfer, offset=0, data=FILE))
    desk.settled(desk.say(desk.transferred(asked.session, asked.transfer, asked.path, FILE, asked.seed)))

    def assignment(device: str = str(spare.id)) -> str:
        order = {"devices": [device], "technicians": [str(company.members["tom"])], "reason": "Look at it"}
        return str(dispatcher.post("/assignments", order)[0]["id"])

    def installer() -> str:
        return str(admin.post("/installers", {})["view"]["id"])

    def published() -> tuple[str, str]:
        review = Review.of(dispatcher, session).keep_marks()
        return review.id, str(review.publish_saved()["share"])

    assignment(str(desk.id))
    ids = {
        "tenant": company.slug,
        "device": str(desk.id),
        "session": session,
        "command": command,
        "transfer": transfer,
        "client": str(company.clients["Harbor"]),
        "identity": str(company.members["mia"]),
        "plugin": PLUGIN,
    }

    def token() -> str:
        browser = company.browser("admin")
        browser.post(f"/t/{company.slug}/tokens/services", label="Of the stage", scopes="read", expires_days="7")
        return str(admin.get("/tokens?limit=1")["items"][0]["id"])

    makers = {"transcript": lambda: Review.of(dispatcher, session).id, "share": lambda: published()[1]}
    return Stage(
        company, ids, {"assignment": assignment, "installer": installer, "token": token, "position": lambda: POSITION, **makers}
    )
