"""Clerk's webhooks: who signed, what is so now at Clerk, and what the core hears of it."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from doubles import Given, answer
from msgspec.structs import replace
from test_clerk_tokens import INSTANCE, ISSUER, settings

from caisey_clerk.backend import Membership, Organization
from caisey_clerk.people import People
from caisey_clerk.sign_in import ClerkSignIn
from caisey_hookspecs import Change, IncomingRequest, Rejected, Secret, Unavailable

KEY = b"a signing key of 24 bytes"[:24]
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
API = "https://api.clerk.com/v1"
MEMBERSHIPS = f"{API}/users/user_1/organization_memberships?limit=500&offset=0"
ADA = f"{ISSUER}#user_1"


def given(**changes: Any) -> Given:
    """An organization with webhooks."""
    return Given(settings(webhook_secret=Secret(SECRET), instance=INSTANCE, **changes))


async def member(at: Given, role: str = "org:admin", there: bool = True) -> None:
    """Somebody signed in before; Clerk says what they are now."""
    await People(at.store).remember("user_1", Membership("orgmem_1", "org:admin", Organization("org_1")))
    belongs = [
        {"object": "organization_membership", "id": "orgmem_1", "role": role, "organization": {"id": "org_1", "name": "A"}}
    ]
    at.http.answers[MEMBERSHIPS] = answer({"data": belongs if there else [], "total_count": int(there)})


def request(
    at: Given, kind: str, data: dict[str, Any], identity: str = "msg_1", key: bytes = KEY, **told: Any
) -> IncomingRequest:
    """Return a message as Svix sends it."""
    body = json.dumps({"type": kind, "object": "event", "data": data, "instance_id": INSTANCE, "timestamp": 1, **told}).encode()
    sent = str(at.clock.seconds)
    signature = base64.b64encode(hmac.digest(key, f"{identity}.{sent}.".encode() + body, hashlib.sha256)).decode()
    headers = (("svix-id", identity), ("svix-timestamp", sent), ("svix-signature", f"v1,AAAA v2,{signature} v1,{signature}"))
    return IncomingRequest(method="POST", path="webhook", headers=headers, body=body)


def membership(user: str = "user_1") -> dict[str, Any]:
    """Return the data of an organizationMembership event."""
    return {"id": "orgmem_1", "role": "org:admin", "organization": {"id": "org_1"}, "public_user_data": {"user_id": user}}


async def test_who_left_the_organization_is_removed_once() -> None:
    """Also where the message names the membership only; a second delivery and a second message do nothing."""
    for data in (membership(), {"id": "orgmem_1", "object": "organization_membership", "deleted": True}):
        at = given()
        await member(at, there=False)
        clerk = ClerkSignIn(at.context)
        left = request(at, "organizationMembership.deleted", data)
        assert (await clerk.incoming(left)).status == 204
        assert (await clerk.incoming(left)).status == 204
        assert (await clerk.incoming(request(at, "organizationMembership.deleted", data, "msg_2"))).status == 204
        assert at.news == [Change("member-removed", ADA)]


async def test_a_message_that_comes_late_is_a_hint() -> None:
    """Somebody left and came back: what is so now counts."""
    at = given()
    await member(at)
    await ClerkSignIn(at.context).incoming(request(at, "organizationMembership.deleted", membership()))
    assert at.news == []


async def test_another_role_needs_another_sign_in() -> None:
    """The next sign-in brings the new role."""
    at = given()
    await member(at, role="org:tech")
    await ClerkSignIn(at.context).incoming(request(at, "organizationMembership.updated", membership()))
    assert at.news == [Change("session-ended", ADA)]
    await ClerkSignIn(at.context).incoming(request(at, "organizationMembership.updated", membership(), "msg_2"))
    assert at.news == [Change("session-ended", ADA)]


async def test_clerk_cannot_be_asked() -> None:
    """Sign-ins end at once; the message is refused, so that it comes again, and then the member is removed."""
    at = given()
    await member(at)
    gone = at.http.answers.pop(MEMBERSHIPS)
    clerk, left = ClerkSignIn(at.context), request(at, "organizationMembership.deleted", membership())
    with pytest.raises(Unavailable):
        await clerk.incoming(left)
    assert at.news == [Change("session-ended", ADA)]
    assert gone
    await member(at, there=False)
    assert (await clerk.incoming(left)).status == 204
    assert at.news[-1] == Change("member-removed", ADA)


@pytest.mark.parametrize(
    ("kind", "data", "news"),
    [
        ("user.deleted", {"id": "user_1", "object": "user", "deleted": True}, [Change("member-removed", ADA)]),
        ("user.updated", {"id": "user_1", "banned": True}, [Change("session-ended", ADA)]),
        ("user.updated", {"id": "user_1", "locked": True}, [Change("session-ended", ADA)]),
        ("user.updated", {"id": "user_1", "banned": False, "locked": False}, []),
        ("organization.deleted", {"id": "org_1", "deleted": True}, [Change("member-removed", ADA)]),
        ("organization.deleted", {"id": "org_2", "deleted": True}, []),
        (
            "session.revoked",
            {"id": "sess_1", "user_id": "user_1"},
            [Change("session-ended", "sess_1"), Change("session-ended", "some-session-of#user_1")],
        ),
        ("session.created", {"id": "sess_1", "user_id": "user_1"}, []),
        ("organizationMembership.deleted", {}, []),
        ("organizationMembership.deleted", {"id": 5, "public_user_data": "none"}, []),
        ("a.kind.that.comes.later", {"id": "user_1"}, []),
    ],
)
async def test_what_the_core_hears(kind: str, data: dict[str, Any], news: list[Change]) -> None:
    """Each type that ends sign-ins, and those that do not."""
    at = given()
    await member(at)
    assert (await ClerkSignIn(at.context).incoming(request(at, kind, data))).status == 204
    assert at.news == news


def _header(name: str, value: str) -> Callable[[IncomingRequest], IncomingRequest]:
    return lambda sent: replace(sent, headers=tuple((n, value if n == name else v) for n, v in sent.headers))


BAD: dict[str, Callable[[IncomingRequest], IncomingRequest]] = {
    "another body": lambda sent: replace(sent, body=sent.body + b" "),
    "another id": _header("svix-id", "msg_9"),
    "another time": _header("svix-timestamp", "1764000000"),
    "no time": _header("svix-timestamp", "soon"),
    "no signature": _header("svix-signature", ""),
    "another version": lambda sent: _header("svix-signature", dict(sent.headers)["svix-signature"].replace("v1,", "v1a,"))(
        sent
    ),
    "letters beyond ASCII": _header("svix-signature", "v1,é"),
    "no headers": lambda sent: replace(sent, headers=()),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_forged_message_changes_nothing(bad: str) -> None:
    """It is refused, and the honest one is taken afterwards."""
    at = given()
    honest = request(at, "user.deleted", {"id": "user_1"})
    clerk = ClerkSignIn(at.context)
    assert (await clerk.incoming(BAD[bad](honest))).status == 400
    assert at.news == []
    assert (await clerk.incoming(honest)).status == 204
    assert at.news == [Change("member-removed", ADA)]


async def test_messages_of_others() -> None:
    """Another secret, another instance, too old, no secret set, another path or method, no JSON though signed."""
    at = given()
    clerk = ClerkSignIn(at.context)
    gone = {"id": "user_1"}
    assert (await clerk.incoming(request(at, "user.deleted", gone, key=b"x" * 24))).status == 400
    assert (await clerk.incoming(request(at, "user.deleted", gone, instance_id="ins_other"))).status == 400
    assert (await clerk.incoming(request(at, "user.deleted", ["no object"]))).status == 400  # type: ignore[arg-type]
    old = request(at, "user.deleted", gone)
    at.clock.go_on(301)
    assert (await clerk.incoming(old)).status == 400
    fresh = request(at, "user.deleted", gone)
    assert (await clerk.incoming(replace(fresh, path="other"))).status == 404
    assert (await clerk.incoming(replace(fresh, method="GET"))).status == 405
    assert (await ClerkSignIn(Given(settings(), clock=at.clock).context).incoming(fresh)).status == 404
    assert at.news == []
    with pytest.raises(Rejected):
        await ClerkSignIn(Given(settings(webhook_secret=Secret("whsec_short"))).context).incoming(fresh)


async def test_ids_are_forgotten_after_three_days() -> None:
    """The store does not grow without end."""
    at = given()
    clerk = ClerkSignIn(at.context)
    await clerk.incoming(request(at, "session.created", {}, "msg_1"))
    at.clock.go_on(3 * 86_400 + 1)
    await clerk.incoming(request(at, "session.created", {}, "msg_2"))
    assert len(await at.store.keys("told/")) == 1
