"""What every identity plugin keeps."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from caisey_hookspecs.identity import Attempt, Identified, Identity, NotIdentified, SignInForm, SignInRedirect, SignOut
from caisey_hookspecs.plugin import IncomingRequest, Rejected
from caisey_hookspecs.testing.conformance import HOSTILE_TEXTS, Declared, PluginConformance
from caisey_hookspecs.testing.context import FakeContext, context_of

ANSWER_SECONDS = 10.0
LARGEST_STATE = 4 * 1024  # bytes
LONGEST_ADDRESS = 8000  # characters
RETURN = "https://caisey.msp.example/t/msp/plugins/this/callback"
HANDLE = "h4ndle-of-this-attempt"
NAMES = ("email", "username", "password", "code", "pin", "state")


def an_attempt(**changes: Any) -> Attempt:
    """Return what a browser brings at the beginning."""
    return Attempt(**{"address": "192.0.2.7", "return_url": RETURN, "handle": HANDLE, **changes})


class IdentityConformance(PluginConformance):
    """Two lines: `class TestConformance(IdentityConformance):` and `plugin = "…"`.

    Over-ride `sign_in` too, so that it is shown that somebody comes in.
    """

    kind = "identity"

    async def sign_in(self, identity: Identity, context: FakeContext[Any]) -> Attempt | None:
        """Return an attempt by which a person is identified; make their account first where that is needed."""
        return None

    async def _complete(self, identity: Identity, context: FakeContext[Any], attempt: Attempt) -> object:
        expect = (Identified, NotIdentified, SignInForm, SignInRedirect)
        return await self.ask(context, identity.complete(attempt), expect, ANSWER_SECONDS)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("handle", ["", HANDLE], ids=["the page asks what to show", "the person pressed the button"])
    async def test_begins(self, declared: Declared, context: FakeContext[Any], handle: str) -> None:
        """A sign-in begins with a form that can be shown or an address that can be gone to."""
        identity = await self.make(declared, context)
        work = identity.begin(an_attempt(handle=handle))
        shown = await self.ask(context, work, (SignInForm, SignInRedirect), ANSWER_SECONDS)
        assert isinstance(shown, SignInForm | SignInRedirect), f"a sign-in does not begin: {shown} {context.http.unanswered}"
        if isinstance(shown, SignInForm):
            _can_be_shown(shown)
        elif handle:
            _can_be_gone_to(shown)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
    async def test_nobody_comes_in_by_a_form_of_rubbish(self, declared: Declared, context: FakeContext[Any], text: str) -> None:
        """Whatever is typed by somebody without an account, nobody is identified, and it is no fault."""
        identity = await self.make(declared, context)
        for fields in ((), ((text, text),), tuple((name, text) for name in NAMES), tuple((name, text) for name in NAMES * 2)):
            said = await self._complete(identity, context, an_attempt(fields=fields, address=text))
            assert not isinstance(said, Identified), f"these fields identified {said}: {fields!r:.200}"

    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
    async def test_nobody_comes_in_by_a_false_callback(self, declared: Declared, context: FakeContext[Any], text: str) -> None:
        """Whatever a callback brings that no provider made, nobody is identified, and it is no fault."""
        identity = await self.make(declared, context)
        for query in ((), (("code", text), ("state", HANDLE)), (("error", text), ("error_description", text))):
            came = IncomingRequest(method="GET", path="callback", query=query)
            for state in (b"", text.encode(errors="replace")[:LARGEST_STATE], b"\xff\x00"):
                said = await self._complete(identity, context, an_attempt(request=came, state=state))
                assert not isinstance(said, Identified), f"a false callback identified {said}"

    @pytest.mark.asyncio
    async def test_somebody_comes_in(self, declared: Declared, context: FakeContext[Any]) -> None:
        """A person is identified, each time as the same subject; whoever has an account in one tenant has none in another."""
        identity = await self.make(declared, context)
        attempt = await self.sign_in(identity, context)
        if attempt is None:
            pytest.skip("sign_in is not over-ridden")
        first = await self._complete(identity, context, attempt)
        assert isinstance(first, Identified), f"the person was not identified: {first}"
        assert 0 < len(first.subject) <= 255, "a subject has 1 to 255 characters"
        again = await self.sign_in(identity, context)
        assert again is not None
        second = await self._complete(identity, context, again)
        assert isinstance(second, Identified), f"the person was not identified a second time: {second}"
        assert first.subject == second.subject, "one person has two subjects"
        if context.store.entries:  # else people are in the settings, which both tenants share here, or with a provider
            other = context_of(declared.info, self.settings, tenant="another")
            elsewhere = await self._complete(await self.make(declared, other), other, attempt)
            assert not isinstance(elsewhere, Identified), "a person of one tenant is identified in another"
        await self.ask(context, identity.forget(first.subject), type(None), ANSWER_SECONDS)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
    async def test_false_tokens_and_people_who_are_not_there(
        self, declared: Declared, context: FakeContext[Any], text: str
    ) -> None:
        """A token of nobody is nobody's; to forget or to sign out somebody who is not there is no error."""
        identity: Identity = await self.make(declared, context)
        for token in (text, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."):
            said = await self.ask(context, identity.bearer(token), (Identified, type(None)), ANSWER_SECONDS)
            assert not isinstance(said, Identified), f"a false token identified {said}"
        for _ in range(2):
            await self.ask(context, identity.forget(text), type(None), ANSWER_SECONDS)
        ended = SignOut(provider_session=text, hint=text, return_url="https://caisey.msp.example/")
        where = await self.ask(context, identity.sign_out(ended), (str, type(None)), ANSWER_SECONDS)
        if isinstance(where, str):
            assert where.startswith("https://"), f"signing out sends the browser to {where!r:.100}"

    @pytest.mark.asyncio
    async def test_passwords(self, declared: Declared, context: FakeContext[Any]) -> None:
        """Where the plugin keeps passwords it refuses one that anybody guesses; elsewhere it says that it keeps none."""
        identity: Identity = await self.make(declared, context)
        try:
            said = await self.ask(context, identity.set_password("nobody@msp.example", "1"), type(None), ANSWER_SECONDS)
        except NotImplementedError:
            return
        assert isinstance(said, Rejected), "“1” was taken as a password"


def _can_be_shown(form: SignInForm) -> None:
    assert form.title.strip(), "the form has no title"
    assert form.button.strip(), "the form's button has no words"
    names = [one.name for one in form.fields]
    assert len(names) == len(set(names)), f"two fields have one name: {names}"
    for one in form.fields:
        assert (one.name and one.label.strip()) or one.kind == "hidden", f"the field “{one.name}” has no label"
        assert not one.name.startswith("_"), f"the field “{one.name}”: names that begin with _ are the core's"
        assert not (one.kind == "password" and one.value), "a password is written back into the page"


def _can_be_gone_to(redirect: SignInRedirect) -> None:
    parts = urlsplit(redirect.url)
    assert parts.scheme == "https", f"a sign-in goes to {redirect.url!r:.100}, which is not https"
    assert parts.hostname, f"a sign-in goes to {redirect.url!r:.100}, which is no address"
    assert len(redirect.url) <= LONGEST_ADDRESS, f"the address has more than {LONGEST_ADDRESS} characters"
    assert parse_qs(parts.query).get("state") == [HANDLE], "the address does not carry Attempt.handle as `state`"
    assert len(redirect.state) <= LARGEST_STATE, f"the state has more than {LARGEST_STATE} bytes"
