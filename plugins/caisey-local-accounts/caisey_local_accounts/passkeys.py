"""Passkeys (WebAuthn level 3): the ceremonies of the library `webauthn`, bound to the host under which people reach the server."""

import hashlib
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from caisey_hookspecs import Rejected
from caisey_local_accounts.kept import Passkey

LONGEST = 64 * 1024  # characters of a browser's answer
UNFIT = "The passkey was not accepted. Try again."


class _Answer(Struct):
    id: str


def host_of(origin: str) -> str:
    """Return the host to which passkeys belong; empty where there can be none: an address has no passkeys, and only TLS or
    this very machine is safe enough for a browser."""
    place = urlsplit(origin)
    host = place.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host if place.scheme == "https" or host == "localhost" else ""
    return ""


def _challenge(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _known(passkeys: tuple[Passkey, ...]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(passkey.id)) for passkey in passkeys]


def creation(origin: str, token: str, handle: bytes, account: str, name: str, known: tuple[Passkey, ...]) -> str:
    """Return what the browser takes to make a passkey."""
    options = generate_registration_options(
        rp_id=host_of(origin),
        rp_name="Caisey",
        user_id=handle,
        user_name=account,
        user_display_name=name,
        challenge=_challenge(token),
        exclude_credentials=_known(known),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return options_to_json(options)


def made(origin: str, token: str, answer: str) -> tuple[str, bytes, int]:
    """Return id, public key and counter of a passkey that a browser made. Raises Rejected."""
    if len(answer) > LONGEST:
        raise Rejected(UNFIT)
    try:
        found = verify_registration_response(
            credential=answer,
            expected_challenge=_challenge(token),
            expected_rp_id=host_of(origin),
            expected_origin=origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:  # what the library lets out for odd answers
        raise Rejected(UNFIT) from error
    return bytes_to_base64url(found.credential_id), found.credential_public_key, found.sign_count


def question(origin: str, token: str, known: tuple[Passkey, ...] = ()) -> str:
    """Return what the browser takes to use a passkey: one of these, or any that the person has for this host."""
    options = generate_authentication_options(
        rp_id=host_of(origin),
        challenge=_challenge(token),
        allow_credentials=_known(known) or None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def id_in(answer: str) -> str:
    """Return which passkey an answer is of; nothing is believed yet. Raises Rejected."""
    if len(answer) > LONGEST:
        raise Rejected(UNFIT)
    try:
        return msgspec.json.decode(answer, type=_Answer).id
    except msgspec.DecodeError as error:
        raise Rejected(UNFIT) from error


def count_of(origin: str, token: str, answer: str, passkey: Passkey) -> int:
    """Return the new counter of a passkey whose answer is right. Raises Rejected, also for a counter that went back: a copy."""
    try:
        found = verify_authentication_response(
            credential=answer,
            expected_challenge=_challenge(token),
            expected_rp_id=host_of(origin),
            expected_origin=origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:  # what the library lets out for odd answers
        raise Rejected(UNFIT) from error
    return found.new_sign_count
