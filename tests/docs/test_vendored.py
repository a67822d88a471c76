"""What was taken from others is what they published."""

import hashlib
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "web" / "static" / "vendor"


def test_vendored_files_are_those_that_were_taken() -> None:
    """Each file in the list of hashes is there, unchanged, and its package's license beside it."""
    listed = [line.split("  ") for line in (VENDOR / "HASHES.txt").read_text().splitlines() if not line.startswith("#")]
    assert listed
    for digest, name, source in listed:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
        assert (VENDOR / f"LICENSE-{source.partition('@')[0]}.txt").is_file(), source
