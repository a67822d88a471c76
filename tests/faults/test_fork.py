"""The server's data folder is replaced by an older one: its devices notice, its admins are told, and the right folder heals it."""

import shutil
from pathlib import Path

from doors import Browser, Caisey, agent, caisey, running, until

TENANT = "/t/brightwater-it"


def audit(demo: Caisey, kind: str) -> list[str]:
    """Return the sentences of a kind in the audit log."""
    page = admin(demo).get(f"{TENANT}/audit").text
    return [line.split(">", 1)[1] for line in page.split("<td ") if f'title="{kind}"' in line]


def admin(demo: Caisey) -> Browser:
    """The admin's browser."""
    browser = Browser(demo.url)
    assert browser.get(demo.people["admin"].sign_in.removeprefix(demo.url)).status_code == 200
    return browser


def size_of(checkpoint: Path) -> int:
    """How many leaves a device's checkpoint covers."""
    return int(checkpoint.read_text().split("\n")[1])


def test_an_old_database_is_noticed_by_the_fleet(tmp_path: Path) -> None:
    """Both databases of an hour ago are put back: each device that saw more refuses, in words, on record; the right ones heal it."""
    with running(tmp_path / "data") as demo:
        demo.kill_server()
        demo.keep_databases(tmp_path / "old")
        demo.restart_server()
        demo.all_online()
        kept = demo.data / "agents/HD-FRONTDESK/checkpoint"
        before = size_of(kept)
        session = demo.active()
        demo.run(session, "echo important")
        demo.finish(session)
        until(lambda: size_of(kept) > before + 5, "the checkpoint of the sealed session")
        demo.kill_server()
        demo.restart_server()
        demo.all_online()
        demo.kill_server()
        demo.keep_databases(tmp_path / "right")

        demo.put_back_databases(tmp_path / "old")
        demo.restart_server()
        for device in demo.devices.values():
            until(lambda device=device: "does not trust the server now" in device.page(), "the words at the device")  # type: ignore[misc]
        assert demo.people["admin"].get("/devices")["counts"]["online"] == 0
        refused = until(lambda: audit(demo, "witness-refused"), "the audit event")
        assert any("HD-FRONTDESK refused this server’s record" in line for line in refused)
        browser = admin(demo)
        page = browser.get(f"{TENANT}/keys").text
        assert "refuse" in page.partition('class="banner refusing"')[2][:300]
        assert "caisey-agent forget-history" in page
        until(lambda: "refuses this server’s record" in browser.get(f"{TENANT}/notices").text, "the notice")
        technician = Browser(demo.url)
        technician.get(demo.people["tom"].sign_in.removeprefix(demo.url))
        assert "banner refusing" not in technician.get(f"{TENANT}/").text
        verdict = demo.verify()
        assert verdict.returncode == 0
        assert "HD-FRONTDESK" in verdict.stderr
        assert "does not contain" in verdict.stderr

        demo.kill_server()
        demo.restart_server()
        until(lambda: len(audit(demo, "witness-refused")) >= len(refused), "the audit log after kill -9")
        demo.kill_server()

        demo.put_back_databases(tmp_path / "right")
        demo.restart_server()
        demo.all_online()
        assert "does not trust" not in demo.devices["HD-FRONTDESK"].page()
        assert "banner refusing" not in admin(demo).get(f"{TENANT}/keys").text
        again = demo.active("HD-XRAY")
        assert demo.run(again, "echo back")["output"] == "back\r\n"
        clean = demo.verify()
        assert clean.returncode == 0
        assert clean.stderr == ""


def test_a_refusal_ends_where_the_device_begins_anew(tmp_path: Path) -> None:
    """The old folder stays and the person at the device decides so: it goes on, and the audit log has both."""
    with running(tmp_path / "data") as demo:
        demo.kill_server()
        demo.keep_databases(tmp_path / "old")
        demo.restart_server()
        admin(demo)
        demo.kill_server()
        demo.restart_server()
        demo.all_online()
        demo.kill_server()
        demo.put_back_databases(tmp_path / "old")
        demo.restart_server()
        until(lambda: any("HD-XRAY" in line for line in audit(demo, "witness-refused")), "the refusal")
        home = demo.data / "agents/HD-XRAY"
        assert agent("forget-history", "--home", str(home)).returncode == 0
        until(lambda: any("HD-XRAY" in line for line in audit(demo, "witness-satisfied")), "the return")
        assert "does not trust" not in demo.devices["HD-XRAY"].page()


def test_another_record_under_this_catalogue(tmp_path: Path) -> None:
    """The record is swapped for one of another installation: the server says so in words instead of serving it."""
    with running(tmp_path / "data") as demo:
        demo.kill_server()
        other = tmp_path / "other"
        assert caisey("init", "--data", str(other)).returncode == 0
        for path in demo.data.glob("record.db*"):
            path.unlink()
        shutil.copy(other / "record.db", demo.data / "record.db")
        served = caisey("serve", "--data", str(demo.data), "--port", "0")
        assert served.returncode == 1
        assert "not sealed by this master key" in served.stderr
        (demo.data / "keys/master.key").write_bytes((other / "keys/master.key").read_bytes())
        served = caisey("serve", "--data", str(demo.data), "--port", "0")
        assert served.returncode == 1
        assert "Traceback" not in served.stderr
        assert "is not in this record" in served.stderr
