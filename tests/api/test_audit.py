"""The audit log: filtered, paged, exported for other tools, and proven like a session."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from doors import Browser, Caisey

from caisey_core.domain import events as e
from caisey_core.services.audit import GROUPS
from caisey_core.services.audit_export import MEANS

AT = "/t/brightwater-it/audit"


def signed_in(caisey: Caisey, who: str) -> Browser:
    """A browser of a member."""
    browser = Browser(caisey.url)
    assert browser.get(caisey.people[who].sign_in.removeprefix(caisey.url)).status_code == 200
    return browser


def make_installer(caisey: Caisey, name: str) -> None:
    """Make an installer for one named device."""
    admin = caisey.people["admin"]
    client = admin.get("/devices")["clients"][0]["id"]
    admin.post("/installers", {"client": client, "device_name": name})


@pytest.fixture(scope="module")
def auditor(caisey: Caisey) -> Browser:
    """The auditor, after something happened."""
    admin = caisey.people["admin"]
    admin.post(f"/devices/{caisey.devices['HD-XRAY'].id}/rename", {"name": '=cmd|"/c calc"!A1'})
    make_installer(caisey, "NEW-PC")
    session = caisey.active()
    caisey.people["dispatcher"].get(f"/sessions/{session}")
    return signed_in(caisey, "auditor")


def lines(browser: Browser, query: str = "") -> list[dict[str, Any]]:
    """Return the export's lines."""
    answer = browser.get(f"{AT}/export?form=ocsf{query}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.jsonl"'
    return [json.loads(line) for line in answer.text.splitlines()]


def test_every_kind_has_its_place() -> None:
    """Each kind of the audit log is in one group of the filter and has a meaning in OCSF."""
    kinds = set(get_args(e.AuditEvent))
    grouped = [kind for group in GROUPS.values() for kind in group]
    assert sorted(kind.__name__ for kind in grouped) == sorted(kind.__name__ for kind in kinds)
    assert MEANS.keys() == kinds
    assert all(hasattr(kind, means.field) for kind, means in MEANS.items() if means.field)


def test_the_shape_of_ocsf(caisey: Caisey, auditor: Browser) -> None:
    """What OCSF 1.3.0 requires of each class is there; numbers fall without a gap; the export itself is the newest entry."""
    found = lines(auditor)
    numbers = [one["metadata"]["sequence"] for one in found]
    assert numbers == list(range(len(found) - 1, -1, -1))
    assert found[0]["message"] == "Exported the audit log (ocsf)"
    for one in found:
        assert {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"} <= one.keys()
        assert one["type_uid"] == one["class_uid"] * 100 + one["activity_id"]
        assert {"version", "product"} <= one["metadata"].keys()
        assert {3002: "user", 3001: "user", 3004: "entity"}[one["class_uid"]] in one
    assert {one["class_uid"] for one in found} == {3001, 3002, 3004}
    enrolled = [one for one in found if one["unmapped"]["kind"] == "device-enrolled"]
    assert {one["entity"]["uid"] for one in enrolled} == {device.id for device in caisey.devices.values()}
    assert enrolled[0]["src_endpoint"]["ip"] == "127.0.0.1"


def test_filters(caisey: Caisey, auditor: Browser) -> None:
    """By person, by what, by words, by days; the page and the files agree."""
    whole = lines(auditor)
    devices = lines(auditor, "&what=devices")
    kinds = {one["unmapped"]["kind"] for one in devices}
    assert kinds == {"installer-created", "device-enrolled", "device-renamed"}
    ada = next(one["actor"]["user"]["uid"] for one in devices if one["unmapped"]["kind"] == "installer-created")
    hers = lines(auditor, f"&what=devices&who={ada}")
    assert {one["actor"]["user"]["name"] for one in hers} == {"Ada Lindqvist"}
    assert 0 < len(hers) < len(devices)
    assert [one["message"] for one in lines(auditor, "&q=new-pc")] == ["Made an installer for the device NEW-PC"]
    today = datetime.now(UTC).date()
    assert len(lines(auditor, f"&since={today}&until={today}")) >= len(whole)
    assert lines(auditor, f"&until={today - timedelta(days=1)}") == []
    page = auditor.get(f"{AT}?q=new-pc").text
    assert "Made an installer for the device NEW-PC" in page
    assert "Signed in" not in page
    assert "No entry matches" in auditor.get(f"{AT}?q=no-such-words").text
    assert auditor.get(f"{AT}?who=nonsense&since=nonsense&before=-5").status_code == 200


def test_pages_have_no_gap(caisey: Caisey, auditor: Browser) -> None:
    """A hundred entries a page; the next begins where the last ended."""
    for number in range(101):
        make_installer(caisey, f"PC-{number}")
    first = auditor.get(f"{AT}?q=pc-").text
    assert first.count('<tr id="a') == 100
    before = first.split("before=")[1].split('"')[0]
    second = auditor.get(f"{AT}?q=pc-&before={before}").text
    assert "for the device PC-0" in second
    shown = first.count("for the device PC-") + second.count("for the device PC-")
    assert shown == 101


def test_a_spreadsheet_runs_nothing(auditor: Browser) -> None:
    """A device's name that looks like a formula is text in the CSV."""
    answer = auditor.get(f"{AT}/export?form=csv&q=renamed")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["number", "time", "who", "kind", "what", "session"]
    assert rows[1][3:5] == ["device-renamed", 'Renamed the device HD-XRAY to =cmd|"/c calc"!A1']
    assert all(cell[:1] not in ("=", "+", "-", "@") for row in rows for cell in row)


def test_its_proof(auditor: Browser) -> None:
    """The page says that the log holds, by the same check as a session's."""
    assert "Verified:" in auditor.get(f"{AT}/proof").text


def test_who_may_read_it(caisey: Caisey) -> None:
    """A technician may not, in any form."""
    tom = signed_in(caisey, "tom")
    for path in ("", "/proof", "/export?form=csv", "/export?form=ocsf"):
        assert tom.get(AT + path).status_code == 403, path
