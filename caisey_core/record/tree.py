"""A tenant's log as a tree of stored hashes: proofs for any size without reading all leaves again.

The roots of complete subtrees of 256 leaves and more are kept as the log grows (a million leaves: 8,000 hashes). What is
smaller is computed from the leaves of the one or two blocks at the edges of a proof, which are read when they are needed.
"""

from collections.abc import Callable, Sequence
from typing import Final

from caisey_core.record.merkle import EMPTY, node_hash

HEIGHT: Final = 8
BLOCK: Final = 1 << HEIGHT  # leaves under one stored hash of the lowest level
READ_AT_ONCE: Final = 16  # blocks

ReadLeaves = Callable[[int, int], Sequence[bytes]]  # (start, count) -> leaf hashes


class LeavesMissing(LookupError):
    """The log does not have the leaves that it counts."""


class StoredTree:
    """Grows with its log and answers for every size up to what was read. Not for two threads at once."""

    def __init__(self, read: ReadLeaves) -> None:
        self._read = read
        self._levels: list[list[bytes]] = [[]]  # [0][i]: root of block i; [n]: of 2**n blocks
        self._near: dict[int, list[list[bytes]]] = {}  # blocks at the edges of the proof being made: complete subtrees by level

    @property
    def stored(self) -> int:
        """How many leaves lie under stored hashes."""
        return len(self._levels[0]) * BLOCK

    def grow(self, size: int) -> None:
        """Read the complete blocks that a log of this size has more. Raises LeavesMissing."""
        while (left := size // BLOCK - len(self._levels[0])) > 0:
            blocks = min(left, READ_AT_ONCE)
            leaves = self._leaves(self.stored, blocks * BLOCK)
            for at in range(0, len(leaves), BLOCK):
                self._add(_complete(leaves[at : at + BLOCK])[HEIGHT][0])

    def _add(self, root: bytes) -> None:
        level = 0
        self._levels[0].append(root)
        while len(self._levels[level]) % 2 == 0:
            pair = self._levels[level][-2:]
            level += 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(node_hash(pair[0], pair[1]))

    def _leaves(self, start: int, count: int) -> Sequence[bytes]:
        leaves = self._read(start, count)
        if len(leaves) != count:
            raise LeavesMissing(f"the log has no leaf {start + len(leaves)}")
        return leaves

    def root(self, size: int) -> bytes:
        """Return the root of the first `size` leaves. Raises LeavesMissing."""
        self._begin(size)
        return self._range(0, size, size) if size else EMPTY

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of a leaf in the tree of this size (RFC 6962 section 2.1.1). Raises IndexError, LeavesMissing."""
        if not 0 <= index < size:
            raise IndexError(index)
        self._begin(size)
        start, end, proof = 0, size, []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._range(middle, end, size))
                end = middle
            else:
                proof.append(self._range(start, middle, size))
                start = middle
        proof.reverse()
        return proof

    def consistency_proof(self, old_size: int, size: int) -> list[bytes]:
        """Return the proof that the tree of `size` continues the one of `old_size` (RFC 6962 section 2.1.2).

        Raises IndexError, LeavesMissing.
        """
        if not 0 < old_size <= size:
            raise IndexError(old_size)
        self._begin(size)
        start, end, proof, complete = 0, size, [], True
        while old_size != end:
            middle = start + _split(end - start)
            if old_size <= middle:
                proof.append(self._range(middle, end, size))
                end = middle
            else:
                proof.append(self._range(start, middle, size))
                start, complete = middle, False
        if not complete:
            proof.append(self._range(start, end, size))
        proof.reverse()
        return proof

    def _begin(self, size: int) -> None:
        self._near.clear()
        self.grow(size)

    def _range(self, start: int, end: int, size: int) -> bytes:
        """Return the root over the leaves from `start` to `end`, a range that the tree of `size` leaves splits into."""
        count = end - start
        if count & (count - 1) == 0:
            return self._node(count.bit_length() - 1, start // count, size)
        middle = start + _split(count)
        return node_hash(self._range(start, middle, size), self._range(middle, end, size))

    def _node(self, level: int, index: int, size: int) -> bytes:
        if level >= HEIGHT:
            return self._levels[level - HEIGHT][index]
        block = index >> (HEIGHT - level)
        near = self._near.get(block)
        if near is None:
            first = block * BLOCK
            near = self._near[block] = _complete(self._leaves(first, min(BLOCK, size - first)))
        return near[level][index - (block << (HEIGHT - level))]


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def _complete(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return the roots of all complete subtrees over at most a block of leaves, by level."""
    levels = [list(leaves)]
    while len(below := levels[-1]) > 1:
        levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return levels
