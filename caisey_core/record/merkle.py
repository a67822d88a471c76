"""Merkle trees as RFC 6962 and RFC 9162 define them: hashing, inclusion and consistency proofs."""

import hashlib
from collections.abc import Iterable, Sequence

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree of which only the roots of its complete subtrees are kept: one for each 1 bit of its size."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)  # largest subtree first

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes."""
        sha256, size, peaks = hashlib.sha256, self.size, self._peaks
        for node in leaves:
            left = size
            while left & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                left >>= 1
            peaks.append(node)
            size += 1
        self.size = size

    @property
    def root(self) -> bytes:
        """The root hash of what was appended so far."""
        if not self._peaks:
            return EMPTY
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def copy(self) -> "Frontier":
        """Return an independent copy."""
        return Frontier(self.size, self._peaks)

    def encode(self) -> bytes:
        """Return the peaks, 32 bytes each, to be kept beside the size."""
        return b"".join(self._peaks)

    @classmethod
    def decode(cls, size: int, data: bytes) -> "Frontier":
        """Return the frontier that was encoded. Raises ValueError where the number of peaks does not fit the size."""
        if len(data) != 32 * size.bit_count():
            raise ValueError("a frontier has one peak for each 1 bit of its size")
        return cls(size, (data[at : at + 32] for at in range(0, len(data), 32)))


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes (RFC 6962 section 2.1)."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root


def levels_of(leaves: bytes) -> list[bytes]:
    """Return the roots of all complete subtrees over leaf hashes: the leaves, the pairs, the fours; 32 bytes each, joined."""
    sha256, levels = hashlib.sha256, [leaves]
    while len(below := levels[-1]) >= 64:
        pairs = range(0, len(below) - 63, 64)
        levels.append(b"".join([sha256(b"\x01" + below[at : at + 64]).digest() for at in pairs]))
    return levels


def root_at(levels: Sequence[bytes], size: int) -> bytes:
    """Return the root of the first `size` of the leaves that these levels are over."""
    root = b""
    for height, level in enumerate(levels):
        if (count := size >> height) & 1:
            peak = level[32 * count - 32 : 32 * count]
            root = node_hash(peak, root) if root else peak
    return root or EMPTY


def _above(level: Sequence[bytes]) -> list[bytes]:
    """Return the next level of the tree: pairs are hashed, a last one without a partner moves up as it is."""
    above = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*above, level[-1]] if len(level) & 1 else above


def inclusion_proofs(leaves: Sequence[bytes], indices: Sequence[int]) -> list[list[bytes]]:
    """Return the audit paths of several leaves (RFC 6962 section 2.1.1), hashing the tree once. Raises IndexError."""
    if any(not 0 <= index < len(leaves) for index in indices):
        raise IndexError(indices)
    level, places, paths = leaves, list(indices), [list[bytes]() for _ in indices]
    while len(level) > 1:
        for path, place in zip(paths, places, strict=True):
            if (sibling := place ^ 1) < len(level):
                path.append(level[sibling])
        places = [place >> 1 for place in places]
        level = _above(level)
    return paths


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of a leaf (RFC 6962 section 2.1.1). Raises IndexError for a leaf that is not there."""
    return inclusion_proofs(leaves, [index])[0]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether the leaf hash is at this place of the tree with this root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, node = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            node = node_hash(node, sibling)
        fn >>= 1
        sn >>= 1
    return sn == 0 and node == root


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the first `old_size` leaves are a prefix (RFC 6962 section 2.1.2)."""
    if not 0 < old_size <= len(leaves):
        raise IndexError(old_size)
    if old_size == len(leaves):
        return []
    level, node, proof = leaves, old_size - 1, list[bytes]()
    while node & 1:  # the largest complete subtree at the old tree's right edge
        level, node = _above(level), node >> 1
    if node:
        proof.append(level[node])
    while len(level) > 1:
        if (sibling := node ^ 1) < len(level):
            proof.append(level[sibling])
        level, node = _above(level), node >> 1
    return proof


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether the tree with `root` continues the one with `old_root` (RFC 9162 section 2.1.4.2)."""
    if old_size == size:
        return not proof and old_root == root
    if not 0 < old_size < size or not proof:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for node in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(node, fr), node_hash(node, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, node)
        fn >>= 1
        sn >>= 1
    return fr == old_root and sr == root and sn == 0
