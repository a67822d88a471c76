"""A transcript from its beginning to its erasure, on both databases."""

from databases import both
from doors import Caisey
from sharing import Review, holds, reader, served

pytestmark = both


def test_its_whole_life(caisey: Caisey) -> None:
    """Made, saved, saved again by somebody who did not see it, published, read, replaced, revoked, erased."""
    dana, sam = caisey.people["dispatcher"], caisey.people["senior technician"]
    session = caisey.active()
    caisey.run(session, "echo first-words; echo second-words")
    caisey.finish(session)
    review = Review.of(dana, session).keep_marks()
    line = review.line("echo first")["id"]
    review.part("echo first", "second-words").cuts[line]["text"] = "what the reviewer says"
    review.save()
    assert "saved this transcript meanwhile" in Review(sam, review.id).save(status=(409,))["detail"]
    review.follow()
    made = review.publish(expires_hours=24)
    shown = served(made["link"])
    assert b"what the reviewer says" in shown.everything
    assert b"second-words" not in shown.everything
    holds(shown.bundle)
    fresh = dana.post(f"/shares/{made['share']}/refresh", {"passcode": "correct horse"})["link"]
    with reader() as who:
        assert who.get(made["link"]).status_code == 404
        assert "asks for a passcode" in who.get(fresh).text
        dana.post(f"/shares/{made['share']}/revoke", status=(200,))
        assert who.get(fresh).status_code == 404
        newest = dana.post(f"/shares/{made['share']}/refresh")["link"]
        assert who.get(newest).status_code == 200
        (share,) = dana.get("/shares")["items"]
        assert (share["state"], share["openings"]) == ("open", 4)
        caisey.people["admin"].post(f"/sessions/{session}/erase", {"reason": "asked for"})
        assert who.get(newest).status_code == 404
    assert dana.get("/shares")["items"] == []
    assert caisey.verify().returncode == 0
