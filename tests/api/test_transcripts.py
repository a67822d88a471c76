"""Transcripts and shares through the API and the link itself."""

import hashlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from companies import Companies, Company
from doors import until
from raw_device import RawDevice
from sharing import Review, holds, ran, reader, served, told

from caisey_agent.protocol import frames as f

SECRET = "Xk3-vault-Words"


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Company:
    """A company with two devices that say what the tests tell them to."""
    for name in ("DESK", "SPARE", "LIVE"):
        companies.raw_device(companies.acme, name, "Harbor")
    return companies.acme


@pytest.fixture
def session(acme: Company) -> str:
    """A finished session with a secret in a command and its output, an address, and a refusal in the device's words."""
    desk = acme.raw["DESK"]
    made = acme.active("DESK", reason="Sally Brown cannot print")
    ran(
        acme,
        desk,
        made,
        f"mysql -u shop -p{SECRET} shop",
        b"connecting to 10.1.2.3\nwrote to sally",
        b"@harbor.example\nok done\n",
    )
    ran(acme, desk, made, "uptime", b"up 3 days\n")
    finish(acme, made)
    return made


def finish(acme: Company, session: str, notes: str = "Restarted the queue.") -> None:
    """Finish a session."""
    acme.people["tom"].post(f"/sessions/{session}/complete", {"resolution": "fixed", "notes": notes, "checked": "It prints."})


def begin(acme: Company, session: str, by: str = "dispatcher") -> Review:
    """Begin a review."""
    return Review.of(acme.people[by], session)


def test_marks(acme: Company, session: str) -> None:
    """A secret, an address over two pieces of output, a private address are marked where they stand."""
    marked = {
        (mark["kind"], line["text"][mark["start"] : mark["end"]])
        for line in begin(acme, session).page()["lines"]
        for mark in line["marks"]
    }
    assert ("secret", SECRET) in marked
    assert ("address", "10.1.2.3") in marked
    assert ("email", "sally@harbor.example") in marked


def test_from_review_to_link(acme: Company, session: str) -> None:
    """Marked, withheld, published: the reader sees the rest, what was withheld is nowhere, the bundle verifies and says so."""
    review = begin(acme, session).part("mysql", SECRET).part("wrote", "sally@harbor.example").part("connecting", "10.1.2.3")
    assert review.save()["open_marks"] == 1  # the account that agreed
    review.kept = [f"{line['id']}:0-8" for line in [review.event("somebody agreed")]]
    saved = review.save()
    assert saved["open_marks"] == 0
    assert saved["leaks"] == []
    assert saved["receipts"] == 1
    made = review.publish()
    shown = served(made["link"])
    text = shown.page.text
    assert "mysql -u shop -p[withheld] shop" in text
    assert "a reviewer’s words" in text
    assert "up 3 days" in text
    assert f"<b>{saved['withheld']} withheld</b>" in text
    for gone in (SECRET, "sally@harbor.example", "10.1.2.3"):
        assert gone.encode() not in shown.everything
        assert gone.encode().hex().encode() not in shown.everything
    said = holds(shown.bundle)
    assert f"{saved['edited']} texts in them are a reviewer's" in said
    assert "withheld as a whole" in said
    assert "device signed the consent" in said
    assert told(acme, "share-opened")[:3] == [
        "Opened the terminal of a share from 127.0.0.1",
        "Opened the bundle of a share from 127.0.0.1",
        "Opened a share from 127.0.0.1",
    ]
    (share,) = [one for one in acme.people["dispatcher"].get("/shares")["items"] if one["id"] == made["share"]]
    assert (share["openings"], share["state"]) == (3, "open")


def test_headers(acme: Company, session: str) -> None:
    """No search engine, no referrer, nothing kept, nothing from elsewhere."""
    answer = served(begin(acme, session).keep_marks().publish_saved()["link"]).page
    assert "noindex" in answer.headers["x-robots-tag"]
    assert 'name="robots" content="noindex' in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text


def test_a_withheld_command_cannot_be_guessed(acme: Company, session: str) -> None:
    """No hash over it without salt is left: neither the receipt's, nor a leaf's."""
    review = begin(acme, session).keep_marks()
    review.withhold(review.line("mysql")["id"]).save()
    shown = served(review.publish()["link"])
    line = f"mysql -u shop -p{SECRET} shop".encode()
    for data in (line, line + b"\n", line + b"\r"):
        for made in (hashlib.sha256(data), hashlib.sha256(b"\0" + data)):
            assert made.digest() not in shown.everything
            assert made.hexdigest().encode() not in shown.everything
    holds(shown.bundle)


def test_the_reason_goes_and_the_consent_stays(acme: Company, session: str) -> None:
    """The device signed only the reason's hash: the words go, wherever they stand, and what it agreed to can still be proven."""
    review = begin(acme, session).keep_marks()
    review.withhold(review.line("Sally Brown")["id"])
    (leak,) = review.save()["leaks"]
    assert not leak["whole"]
    assert "can still be read elsewhere" in review.publish(status=(422,))["detail"]
    review.follow()
    shown = served(review.keep_marks().publish_saved()["link"])
    assert b"Sally Brown" not in shown.everything
    assert b"Sally Brown".hex().encode() not in shown.everything
    assert "The device signed the consent" in holds(shown.bundle)
    assert "cannot be seen here" not in holds(shown.bundle)


def test_words_inside_an_event(acme: Company) -> None:
    """Who agreed is in the bytes that the device signed: the reviewer is told, and only the whole event can go."""
    made = acme.active("DESK")
    ran(acme, acme.raw["DESK"], made, "who", b"somebody tty1\n")
    finish(acme, made)
    review = begin(acme, made).keep_marks().part("somebody tty1", "somebody")
    leaks = [leak for leak in review.save()["leaks"] if leak["loss"]]
    assert all(leak["whole"] for leak in leaks)
    assert any("consent before the work" in leak["loss"] for leak in leaks)
    assert "can still be read elsewhere" in review.publish(status=(422,))["detail"]
    review.follow()
    shown = served(review.keep_marks().publish_saved()["link"])
    assert b"somebody" not in shown.everything
    assert "consent before the work cannot be seen here" in holds(shown.bundle)


def test_words_in_another_line(acme: Company) -> None:
    """What is withheld in one line and stands in another is told, also in capitals of base64 and hex."""
    desk = acme.raw["DESK"]
    made = acme.active("DESK")
    import base64

    again = base64.b64encode(f"the {SECRET}".encode()).decode()
    ran(acme, desk, made, "cat a", f"one {SECRET} two\nsame {SECRET}\n{again}\n{SECRET.encode().hex()}\n".encode())
    finish(acme, made)
    review = begin(acme, made).part("one", SECRET)
    saved = review.save()
    assert len({leak["where"] for leak in saved["leaks"]}) == 3
    assert not any(leak["whole"] for leak in saved["leaks"])
    review.follow()
    shown = served(review.keep_marks().publish_saved()["link"])
    assert again.encode() not in shown.everything


def test_nothing_is_published_unlooked(acme: Company, session: str) -> None:
    """Open marks and lines that nobody looked at are in the way; so is somebody else's save."""
    review = begin(acme, session)
    review.save()
    assert "marks are not decided" in review.publish(status=(422,))["detail"]
    review.keep_marks().save()
    refused = review.publish(status=(422,), acknowledged=1)
    assert refused["field"] == "acknowledged"
    review.version -= 1
    assert "saved this transcript meanwhile" in review.publish(status=(409,))["detail"]


def test_two_reviewers(acme: Company, session: str) -> None:
    """Who saves over what they did not see is told by whom and how many; the first save stays."""
    dana = begin(acme, session)
    sam = Review(acme.people["senior"], dana.id)
    dana.withhold(dana.line("mysql")["id"]).save()
    sam.withhold(sam.line("up 3 days")["id"])
    refused = sam.save(status=(409,))
    assert "Dispatcher of Acme MSP saved this transcript meanwhile" in refused["detail"]
    assert refused["field"] == "version"
    assert list(dana.page()["standing"]["decisions"]["cuts"]) == list(dana.cuts)
    sam.version = 1
    sam.cuts |= dana.cuts
    assert sam.save()["version"] == 2


def test_many_save_at_once(acme: Company, session: str) -> None:
    """Of those who save over the same version at the same moment one is first, and all others are told so."""
    review = begin(acme, session)
    path, line = f"/transcripts/{review.id}/decisions", review.line("mysql")["id"]
    for version in range(4):
        with ThreadPoolExecutor(6) as pool:
            body = {"version": version, "cuts": {line: {}}}
            sent = [pool.submit(acme.people["dispatcher"].call, "POST", path, json=body) for _ in range(6)]
            assert sorted(one.result().status_code for one in sent) == [200] + [409] * 5


def test_decisions_that_cannot_be(acme: Company, session: str) -> None:
    """Lines that are not there, parts beyond a line, words that undo what was withheld."""
    review = begin(acme, session)
    line = review.line("mysql")
    bad = [
        ({"999999": {}}, "not in this transcript"),
        ({"0.77": {}}, "not in this transcript"),
        ({"x": {}}, "not in this transcript"),
        ({line["id"]: {"spans": [[0, 5000]]}}, "not where it should be"),
        ({line["id"]: {"spans": [[5, 5]]}}, "not where it should be"),
        ({line["id"]: {"text": "two\nlines"}}, "has a line break"),
        ({line["id"]: {"text": "x" * 4001}}, "longer than 4000 characters"),
        (
            {line["id"]: {"spans": [[16, 16 + len(SECRET)]], "text": f"still {line['text'][16 : 16 + len(SECRET)]}"}},
            "still has what you withheld",
        ),
        ({review.event("asked for a session")["id"]: {"text": "no"}}, "only as a whole"),
    ]
    for cuts, words in bad:
        review.cuts = cuts
        refused = review.save(status=(422,))
        assert words in refused["detail"]
        assert refused["field"] == "cuts"
    assert review.page()["standing"]["version"] == 0, "nothing of it was saved"


def test_what_ended_and_what_never_was(companies: Companies, acme: Company, session: str) -> None:
    """Revoked, expired, replaced and invented links get the same answer, byte for byte; a new link opens again."""
    dispatcher = acme.people["dispatcher"]
    review = begin(acme, session).keep_marks()
    review.save()
    made = review.publish(expires_hours=1)
    first = made["link"]
    served(first)
    fresh = dispatcher.post(f"/shares/{made['share']}/refresh", {"expires_hours": 1})["link"]
    with reader() as who:
        never = who.get(f"{companies.url}/share/cai_nothing")
        assert never.status_code == 404
        assert "noindex" in never.headers["x-robots-tag"]
        for path in ("", "/bundle", "/terminal.cast", "/events"):
            assert who.get(first + path).content == never.content
        served(fresh)
        with closing(sqlite3.connect(companies.server.data / "catalogue.db", timeout=10)) as catalogue:
            catalogue.execute("UPDATE share SET expires_at = ?", (int(time.time() * 1e6) - 1,))
            catalogue.commit()
        assert who.get(fresh).content == never.content
        newest = dispatcher.post(f"/shares/{made['share']}/refresh", {})["link"]
        served(newest)
        dispatcher.post(f"/shares/{made['share']}/revoke", status=(200,))
        assert who.get(newest).content == never.content
        assert who.post(newest, data={"passcode": "whatever"}).status_code in (403, 404)
    assert told(acme, "share-revoked") == ["Revoked a share"]
    assert len(told(acme, "share-refreshed")) == 2


def test_passcode(acme: Company, session: str) -> None:
    """Nothing is shown before it; wrong ones are written down and slowed for this share, while another opens at once."""
    review = begin(acme, session).keep_marks()
    review.save()
    assert review.publish(status=(422,), passcode="short")["field"] == "passcode"
    link = review.publish(passcode="correct horse")["link"]
    other = begin(acme, session).keep_marks()
    other.save()
    second = other.publish(passcode="another one")["link"]
    with reader(follow_redirects=True) as who:
        page = who.get(link)
        assert page.status_code == 200
        assert "asks for a passcode" in page.text
        assert "uptime" not in page.text
        for path in ("/bundle", "/terminal.cast"):
            assert b"uptime" not in who.get(link + path).content

        def guess(address: str, word: str) -> int:
            token = next(value for name, value in who.cookies.items() if name.endswith("csrf"))
            return who.post(address, data={"_csrf_token": token, "passcode": word}).status_code

        assert [guess(link, f"wrong {n}") for n in range(6)] == [422] * 5 + [429]
        assert "too many wrong passcodes" in who.post(link, data=csrf(who)).text
        assert guess(second, "another one") == 200
        until(lambda: guess(link, "correct horse") == 200, "the pause to end")
        assert "uptime" in who.get(link).text
        assert served(link, who).bundle
    assert len(told(acme, "share-passcode-refused")) >= 5


def csrf(who: object) -> dict[str, str]:
    """Return a form with its token."""
    cookies = who.cookies  # type: ignore[attr-defined]
    return {"_csrf_token": next(value for name, value in cookies.items() if name.endswith("csrf")), "passcode": "again"}


def test_who_may_share(companies: Companies, acme: Company, session: str) -> None:
    """Technicians and auditors may not; of another company's transcript nobody learns that it is there."""
    for who in ("tom", "auditor"):
        acme.people[who].post(f"/sessions/{session}/transcripts", status=(403,))
    review = begin(acme, session).keep_marks()
    review.save()
    share = review.publish()["share"]
    for path in (f"/transcripts/{review.id}", f"/transcripts/{review.id}/standing"):
        assert companies.bolt.people["dispatcher"].call("GET", path).status_code == 404
    companies.bolt.people["dispatcher"].post(f"/shares/{share}/revoke", status=(404,))
    companies.bolt.people["dispatcher"].post(f"/sessions/{session}/transcripts", status=(404,))
    assert share in [one["id"] for one in acme.people["auditor"].get("/shares")["items"]]
    assert share not in [one["id"] for one in companies.bolt.people["dispatcher"].get("/shares")["items"]]


def test_published_is_frozen(acme: Company, session: str) -> None:
    """It does not change any more, and is not published twice."""
    review = begin(acme, session).keep_marks()
    review.save()
    review.publish()
    assert "does not change" in review.save(status=(409,))["detail"]
    assert "does not change" in review.publish(status=(409,))["detail"]


def test_a_running_session(acme: Company) -> None:
    """The copy is of the moment; what happens later is not in it, and its bundle verifies as of an open session."""
    live = acme.raw["LIVE"]
    made = acme.active("LIVE")
    ran(acme, live, made, "echo before", b"before\n")
    review = begin(acme, made).keep_marks()
    review.save()
    ran(acme, live, made, "echo later-words", b"later-words\n")
    shown = served(review.publish()["link"])
    assert b"later-words" not in shown.everything
    assert "still open" in holds(shown.bundle)
    finish(acme, made)


def test_taking_over(companies: Companies, acme: Company) -> None:
    """A senior technician who opens the link signed in is offered the running session, and gets it; others are not."""
    live = acme.raw["LIVE"]
    made = acme.active("LIVE")
    ran(acme, live, made, "echo before", b"before\n")
    review = begin(acme, made).keep_marks()
    review.save()
    path = "/share/" + review.publish()["link"].rpartition("/")[2]
    senior = acme.browser("senior")
    assert "Take over the session" in senior.get(path).text
    for who in ("auditor", "mia"):
        assert "Take over the session" not in acme.browser(who).get(path).text
    for who in ("mia", "dispatcher", "auditor", "admin"):
        acme.people[who].post(f"/sessions/{made}/take-over", status=(403,))
    for who in ("senior", "admin"):
        companies.bolt.people[who].post(f"/sessions/{made}/take-over", status=(404,))
    assert "Take over" not in companies.bolt.browser("senior").get(path).text
    answer = senior.post(f"/t/{acme.slug}/sessions/{made}/take-over")
    assert answer.url.path == f"/t/{acme.slug}/sessions/{made}"
    assert acme.card(made)["technician_name"] == "Senior of Acme MSP"
    assert live.hear(f.NewTechnician).technician == "Senior of Acme MSP"
    assert "Senior of Acme MSP" in told(acme, "share-opened")[0] or told(acme, "share-opened")
    live.close()
    until(lambda: not acme.people["senior"].get(f"/devices/{live.id}")["row"]["online"], "the device to be away")
    assert "not connected" in acme.people["senior"].post(f"/sessions/{made}/take-over", status=(409,))["detail"]
    assert "can be taken over when it is back" in senior.get(path).text
    live.connect()
    finish_by(acme, made, "senior")
    assert "Take over" not in senior.get(path).text


def finish_by(acme: Company, session: str, who: str) -> None:
    """Finish a session as somebody else."""
    acme.people[who].post(f"/sessions/{session}/complete", {"resolution": "workaround", "notes": "Later."})


def parts(companies: Companies, share: str) -> int:
    """Return how many parts of files the catalogue has of a share."""
    with closing(sqlite3.connect(companies.server.data / "catalogue.db", timeout=10)) as catalogue:
        ((found,),) = catalogue.execute(
            "SELECT count(*) FROM share_file WHERE lower(hex(share)) = ? OR share = ?", (share.replace("-", ""), share)
        )
    return int(found)


def test_erasure_takes_shares_away(companies: Companies, acme: Company) -> None:
    """When a session's contents are erased its links end, the files are gone, and nothing typed by a reviewer is left."""
    spare: RawDevice = acme.raw["SPARE"]
    made = acme.active("SPARE")
    ran(acme, spare, made, "echo erased-words", b"erased-words\n")
    finish(acme, made)
    spare.hear(f.EndSession)
    spare.settled(spare.say(f.SessionClosed(session=made)))  # type: ignore[arg-type]
    until(lambda: acme.card(made)["sealed"], "the seal")
    review = begin(acme, made).keep_marks()
    line = review.line("erased-words")
    review.cuts[line["id"]] = {"text": "a reviewer's own words"}
    review.save()
    made_share = review.publish()
    served(made_share["link"])
    assert parts(companies, made_share["share"]) > 1
    acme.people["admin"].post(f"/sessions/{made}/erase", {"reason": "asked for"}, status=(200, 201))
    with reader() as who:
        assert who.get(made_share["link"]).status_code == 404
    assert parts(companies, made_share["share"]) == 0
    assert b"a reviewer's own words" not in b"".join(path.read_bytes() for path in companies.server.data.glob("catalogue.db*"))
    assert acme.people["dispatcher"].call("GET", f"/transcripts/{review.id}").status_code == 404
    assert "what it showed was erased" in told(acme, "share-revoked")[0]
    again = begin(acme, made)
    assert all("erased-words" not in one["text"] for one in again.page()["lines"])
