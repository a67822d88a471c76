"""Records and files for reading are what they are, however the pieces fall in which they are unpacked."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caisey_core.record import bundle
from caisey_core.record.bundle import file_root
from caisey_core.record.container import LARGEST_RECORD, Container, NotABundle, record
from caisey_core.record.merkle import leaf_hash, root_of

cuts = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Yield the data in pieces of these sizes, again and again."""
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at : at + size]
        at, turn = at + size, turn + 1


class Unpacked(Container):
    """One file, unpacked in the pieces that a test wants."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the pieces."""
        return self._pieces


@given(st.lists(st.binary(max_size=50), max_size=20), cuts)
def test_records_however_they_are_cut(wanted: list[bytes], sizes: list[int]) -> None:
    """A record that lies over many pieces, and many records in one piece."""
    data = b"".join(map(record, wanted))
    assert list(Unpacked(cut(data, sizes)).records("events")) == wanted


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), cuts, st.data())
def test_a_file_that_ends_within_a_record(wanted: list[bytes], sizes: list[int], data: st.DataObject) -> None:
    """All records before it are there, then it is said."""
    *before, last = map(record, wanted)
    end = last[: data.draw(st.integers(1, len(last) - 1))]
    found = Unpacked(cut(b"".join(before) + end, sizes)).records("events")
    assert [next(found) for _ in before] == wanted[:-1]
    with pytest.raises(NotABundle, match="ends within a record"):
        next(found)


@given(st.binary(max_size=50), cuts)
def test_a_record_that_is_too_large(first: bytes, sizes: list[int]) -> None:
    """Its size is enough to refuse it: nothing of it is waited for."""
    found = Unpacked(cut(record(first) + (LARGEST_RECORD + 1).to_bytes(4, "big"), sizes)).records("events")
    assert next(found) == first
    with pytest.raises(NotABundle, match="larger than it may be"):
        next(found)


@given(st.binary(max_size=300), cuts)
def test_the_root_of_a_file_however_it_is_cut(data: bytes, sizes: list[int]) -> None:
    """The leaves are pieces of one size, whatever the sizes in which the file comes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "PIECE", 64)
        leaves = [leaf_hash(data[at : at + 64]) for at in range(0, len(data), 64)]
        assert file_root(cut(data, sizes)) == root_of(leaves).hex()
