"""Trees and proofs against the published vectors of RFC 6962's reference implementation, and against every small damage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caisey_core.record import merkle
from caisey_core.record.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    leaf_hash,
    levels_of,
    node_hash,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes(range(0x60, 0x70)))
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
sizes = st.integers(1, 40)


def some(count: int) -> list[bytes]:
    """Return leaf hashes."""
    return [leaf_hash(bytes([i])) for i in range(count)]


def test_published_roots() -> None:
    """Each prefix of the published leaves has the published root."""
    frontier = Frontier()
    assert frontier.root == EMPTY
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier.append(leaf_hash(leaf))
        assert frontier.root.hex() == root
    for known in range(len(LEAVES) + 1):
        levels = levels_of(b"".join(map(leaf_hash, LEAVES[:known])))
        assert [root_at(levels, size).hex() for size in range(known + 1)] == [EMPTY.hex(), *ROOTS[:known]]


@given(sizes)
def test_a_frontier_survives_being_kept(count: int) -> None:
    """What is kept between starts grows on to the same root."""
    kept = Frontier()
    for leaf in some(count):
        kept.append(leaf)
        kept = Frontier.decode(kept.size, kept.encode())
    assert kept.root == root_of(some(count))


@given(sizes, st.data())
def test_inclusion(count: int, data: st.DataObject) -> None:
    """A proof holds for its leaf and place, for nothing else."""
    leaves = some(count)
    index = data.draw(st.integers(0, count - 1))
    proof, root = inclusion_proof(leaves, index), root_of(leaves)
    assert verify_inclusion(leaves[index], index, count, proof, root)
    assert not verify_inclusion(leaf_hash(b"another"), index, count, proof, root)
    assert not verify_inclusion(leaves[index], count, count, proof, root)
    if count > 1:
        other = data.draw(st.integers(0, count - 1).filter(lambda i: i != index))
        assert not verify_inclusion(leaves[index], other, count, proof, root)
        assert not verify_inclusion(leaves[index], index, count, proof[:-1], root)
    assert not verify_inclusion(leaves[index], index, count, [*proof, root], root)


@given(sizes, st.data())
def test_consistency(count: int, data: st.DataObject) -> None:
    """A log that continues can prove it; one that was changed cannot."""
    leaves = some(count)
    old = data.draw(st.integers(1, count))
    proof = consistency_proof(leaves, old)
    old_root, root = root_of(leaves[:old]), root_of(leaves)
    assert verify_consistency(old, old_root, count, root, proof)
    changed = data.draw(st.integers(0, old - 1))
    forged = [*leaves[:changed], leaf_hash(b"forged"), *leaves[changed + 1 :]]
    forged_root = root_of(forged)
    assert not verify_consistency(old, old_root, count, forged_root, consistency_proof(forged, old))


def path_as_defined(leaves: list[bytes], index: int) -> list[bytes]:
    """PATH(m, D[n]) as RFC 6962 section 2.1.1 writes it: recursive, over slices."""
    if len(leaves) == 1:
        return []
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < k:
        return [*path_as_defined(leaves[:k], index), root_of(leaves[k:])]
    return [*path_as_defined(leaves[k:], index - k), root_of(leaves[:k])]


def proof_as_defined(old: int, leaves: list[bytes], *, complete: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) as RFC 6962 section 2.1.2 writes it."""
    if old == len(leaves):
        return [] if complete else [root_of(leaves)]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    if old <= k:
        return [*proof_as_defined(old, leaves[:k], complete=complete), root_of(leaves[k:])]
    return [*proof_as_defined(old - k, leaves[k:], complete=False), root_of(leaves[:k])]


@given(sizes)
def test_proofs_are_those_of_the_definition(count: int) -> None:
    """Hashed level by level, each proof is byte for byte what the recursive definition gives."""
    leaves = some(count)
    assert inclusion_proofs(leaves, range(count)) == [path_as_defined(leaves, i) for i in range(count)]
    assert [consistency_proof(leaves, n + 1) for n in range(count)] == [proof_as_defined(n + 1, leaves) for n in range(count)]


def test_a_large_log_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many proofs are wanted, the tree is hashed once: no more node hashes than the log has leaves."""
    hashed = 0

    def counted(left: bytes, right: bytes) -> bytes:
        nonlocal hashed
        hashed += 1
        return node_hash(left, right)

    monkeypatch.setattr(merkle, "node_hash", counted)
    leaves = [i.to_bytes(32, "big") for i in range(100_000)]
    inclusion_proofs(leaves, range(0, 100_000, 1000))
    assert hashed < len(leaves)
    hashed = 0
    consistency_proof(leaves, 77_777)
    assert hashed < len(leaves)
