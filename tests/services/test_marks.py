"""What is marked for a reviewer, what is not, and how fast."""

import itertools
import time

import pytest

from caisey_core.services.marks import Looker

LOOKER = Looker(("anna", "root", "svc-print"))
KEY = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp" + "_abcdefghijklmnopqrstuvwxyz0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


def marked(text: str) -> list[tuple[str, str]]:
    """Return kinds and words of the marks."""
    return [(mark.kind, text[mark.start : mark.end]) for mark in LOOKER.marks(text)]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("mysql -u shop -pHunter22 shop", "Hunter22"),
        ("mysqldump --single-transaction -uroot -p'a b' shop", "a b"),
        ("password = 'hunter2 with spaces'", "hunter2 with spaces"),
        ("DB_PASSWORD: s3cr3tvalue", "s3cr3tvalue"),
        ('{"apiKey": "abcdef"}', "abcdef"),
        ("Kennwort: geheim123", "geheim123"),
        ("PIN 4711", "4711"),
        ("sshpass -p hunter2 ssh host", "hunter2"),
        ("curl -u anna2:hunter2 http://x", "hunter2"),
        ("tool --token abcdefgh run", "abcdefgh"),
        ("tool --password=abcdefgh run", "abcdefgh"),
        ("net user bob Secret99 /add", "Secret99"),
        ("echo hunter2 | sudo -S id", "hunter2"),
        ("postgresql://app:passw0rd@db/x", "passw0rd"),
        ("GET /x?y=1&sig=abcdef12&z=2", "abcdef12"),
        ("Authorization: Bearer abc.def.ghi", "abc.def.ghi"),
        (f"token is {JWT} today", JWT),
        (f"export AWS_ACCESS_KEY_ID={KEY}", KEY),
        (f"remote {GITHUB}", GITHUB),
        ("root:$6$abcdefgh$AbCdEfGhIjKlMnOpQrStUvWxYz01234:19000", "$6$abcdefgh$AbCdEfGhIjKlMnOpQrStUvWxYz01234"),
    ],
)
def test_secrets(text: str, secret: str) -> None:
    """Passwords in command lines and settings, keys, tokens in addresses and headers, hashes."""
    assert ("secret", secret) in marked(text)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("mail to anna.b+x@mail.example.com now", "email", "anna.b+x@mail.example.com"),
        ("inet 192.168.1.20/24", "address", "192.168.1.20"),
        ("from 10.0.0.1:80", "address", "10.0.0.1"),
        ("inet6 fe80::1 scope link", "address", "fe80::1"),
        ("inet6 fd00::2", "address", "fd00::2"),
        ("ls /home/erik/x", "user", "erik"),
        (r"dir C:\Users\erik\x", "user", "erik"),
        ("uid=1000(anna) gid", "user", "anna"),
        ("Service runs as SVC-PRINT", "user", "SVC-PRINT"),
    ],
)
def test_people_and_places(text: str, kind: str, words: str) -> None:
    """E-mail addresses, addresses that no stranger can reach, names of accounts."""
    assert (kind, words) in marked(text)


@pytest.mark.parametrize(
    "text",
    [
        "-rw-r--r-- 1 root root 1234 Nov 24 22:44 notes.txt",
        "tokenizer: 12 tokens",
        "password required",
        "Password: ********",
        "password=$PASSWORD",
        "8.8.8.8 answered, 127.0.0.1 as well, ::1 too",
        "version 1.2.3.4.5",
        "10:20:30 12:30",
        "commit 8aef23b0c1d2 by somebody",
        "hannah and rooting",
        "ls /home/root",
    ],
)
def test_what_is_nobodys_secret(text: str) -> None:
    """Ordinary output is not marked: a reviewer who clicks away a hundred marks misses the one that counts."""
    assert marked(text) == []


def test_two_rules_make_one_mark() -> None:
    """The more serious kind stays where marks meet; marks never overlap."""
    text = f"postgresql://anna:secret@192.168.0.1/db?password={KEY}"
    found = LOOKER.marks(text)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    assert {"secret", "address", "user"} == {mark.kind for mark in found}


@pytest.mark.parametrize(
    "text",
    ["password" * 2000, "a.b-c_d=" * 4000, "://" * 8000, "1." * 8000, "mysql " * 2000, "-" * 16000, ":" * 16000, "eyJ" * 6000],
    ids=lambda text: text[:8],
)
def test_hostile_lines_are_quick(text: str) -> None:
    """No text makes a rule take long: each looks at a bounded piece."""
    began = time.perf_counter()
    LOOKER.marks(text)
    assert time.perf_counter() - began < 2


def test_a_line_is_quick() -> None:
    """Twenty thousand lines of ordinary output take seconds, not minutes (measured: 70 µs a line)."""
    line = "-rw-r--r-- 1 root root 1234 Nov 24 22:44 notes.txt and something more to fill the line up to eighty"
    LOOKER.marks(line)
    began = time.perf_counter()
    for _ in range(500):
        LOOKER.marks(line)
    assert (time.perf_counter() - began) / 500 < 0.002
