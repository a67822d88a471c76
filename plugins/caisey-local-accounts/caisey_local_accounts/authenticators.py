"""Codes of authenticator apps: RFC 6238 with SHA-1, six digits and 30 seconds, which is what all apps can."""

import hmac
from datetime import datetime
from typing import Final

import pyotp

SECONDS: Final = 30
DRIFT: Final = 1  # steps that a clock may be off, either way


def new_secret() -> str:
    """Return a secret of 160 bits, in base32."""
    return pyotp.random_base32()


def uri_of(secret: str, account: str) -> str:
    """Return what an app scans."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name="Caisey")


def step_of(secret: str, code: str, now: datetime, after: int) -> int | None:
    """Return the time step whose code this is, or None. A step is later than `after`: each code is good once (RFC 6238, 5.2)."""
    code = "".join(code.split())
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // SECONDS
    for step in range(present - DRIFT, present + DRIFT + 1):
        if step > after and hmac.compare_digest(totp.at(step * SECONDS), code):
            return step
    return None
