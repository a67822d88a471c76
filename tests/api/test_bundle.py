"""The download of a bundle: who gets it, what is written about it, what is left behind."""

import io
import json
from pathlib import Path

import httpx2
import pytest
from doors import Browser, Caisey

from caisey_core.services.bundle_verdict import verify_bundle
from caisey_core.services.checker_page import checker_page


@pytest.fixture(scope="module")
def finished(caisey: Caisey) -> str:
    """A finished session."""
    session = caisey.active()
    caisey.run(session, "echo secret-word")
    caisey.finish(session)
    return session


def left(folder: Path) -> set[str]:
    """Return what lies in the data folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm", ".new"))}


def test_whoever_may_review_may_export(caisey: Caisey, finished: str) -> None:
    """Each of them gets a file that verifies, as a download that no browser shows; nothing of it stays on the server."""
    before = left(caisey.data)
    for who in ("tom", "dispatcher", "auditor", "admin"):
        answer = caisey.people[who].call("GET", f"/sessions/{finished}/bundle")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/zip"
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        assert int(answer.headers["content-length"]) == len(answer.content)
        verdict = verify_bundle(io.BytesIO(answer.content))
        assert verdict.ok, verdict.broken
        assert any(f"as {caisey.people[who].name} exported them" in line for line in verdict.proved)
    assert left(caisey.data) == before


def test_each_export_is_in_the_audit_log(caisey: Caisey, finished: str) -> None:
    """By whom, of which session; the page shows it and links there."""
    caisey.people["mia"].call("GET", f"/sessions/{finished}/bundle")
    browser = Browser(caisey.url)
    browser.client.get(caisey.people["auditor"].sign_in)
    shown = browser.get("/t/brightwater-it/audit").text
    assert "Exported a session" in shown
    assert "Mia Torres" in shown
    assert f"/sessions/{finished}/review" in shown


def test_nobody_else_gets_it(caisey: Caisey, finished: str) -> None:
    """Not without a token, not by another company's address, not for a session that is not there."""
    address = f"{caisey.url}/api/v1/t/brightwater-it/sessions/{finished}/bundle"
    assert httpx2.get(address).status_code == 401
    tom = caisey.people["tom"]
    headers = {"authorization": f"Bearer {tom.token}"}
    assert httpx2.get(address.replace("brightwater-it", "other"), headers=headers).status_code == 404
    assert tom.call("GET", "/sessions/00000000-0000-4000-8000-000000000000/bundle").status_code == 404
    page = httpx2.get(f"{caisey.url}/t/brightwater-it/sessions/{finished}/bundle", headers={"accept": "text/html"})
    assert page.status_code == 303


def test_the_page_that_checks(caisey: Caisey) -> None:
    """/verify is public, the very page of each bundle, under a policy that lets nothing in or out."""
    answer = httpx2.get(f"{caisey.url}/verify")
    assert answer.status_code == 200
    assert answer.content == checker_page().body
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert "unsafe" not in policy


def test_an_erased_session_can_be_exported(caisey: Caisey) -> None:
    """Its texts are in no file of the bundle; the bundle proves who erased them, when and why, and everything else."""
    session = caisey.active("HD-XRAY")
    caisey.run(session, "echo very-private")
    caisey.finish(session)
    browser = Browser(caisey.url)
    browser.client.get(caisey.people["admin"].sign_in)
    assert browser.get(f"/t/brightwater-it/sessions/{session}/review").status_code == 200
    browser.post(f"/t/brightwater-it/sessions/{session}/erase", reason="The client asked for it")
    data = caisey.people["tom"].call("GET", f"/sessions/{session}/bundle").content
    verdict = verify_bundle(io.BytesIO(data))
    assert verdict.ok, verdict.broken
    assert any("were erased" in line and "The client asked for it" in line for line in verdict.proved), verdict.proved
    assert any("0 lines are shown" in line for line in verdict.proved)
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        assert not any(b"very-private" in packed.read(name) for name in packed.namelist())
        assert json.loads(packed.read("manifest.json"))["sealed"]
