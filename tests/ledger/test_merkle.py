from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit_verification import Proof
from ledger.merkle import EMPTY_ROOT, Prover, Tree, fold_proof, leaf_hash, node_hash

# The inputs and roots that Certificate Transparency's own tests use.
INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
          "606162636465666768696a6b6c6d6e6f")  # fmt: skip
ROOT_OF_EIGHT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def root_by_definition(of: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not of:
        return EMPTY_ROOT
    if len(of) == 1:
        return of[0]
    middle = 1 << ((len(of) - 1).bit_length() - 1)
    return node_hash(root_by_definition(of[:middle]), root_by_definition(of[middle:]))


def tree_of(of: list[bytes]) -> Tree:
    tree = Tree()
    for leaf in of:
        tree.add(leaf)
    return tree


def test_the_root_is_the_one_others_compute() -> None:
    tree = tree_of([leaf_hash(bytes.fromhex(text)) for text in INPUTS])
    assert tree.root().hex() == ROOT_OF_EIGHT


@given(st.integers(0, 70))
def test_a_growing_tree_has_the_root_of_its_definition(count: int) -> None:
    assert tree_of(leaves(count)).root() == root_by_definition(leaves(count))


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_tree_goes_on_from_its_peaks(before: int, more: int) -> None:
    every = leaves(before + more)
    first = tree_of(every[:before])
    second = Tree(first.size, first.peaks)
    for leaf in every[before:]:
        second.add(leaf)
    assert second.root() == tree_of(every).root()


@given(st.integers(1, 40), st.data())
def test_a_proof_leads_from_its_own_leaf_and_no_other(size: int, data: st.DataObject) -> None:
    every = leaves(size + 3)
    index = data.draw(st.integers(0, size - 1))
    prover = Prover(size, frozenset((index,)))
    for leaf in every:  # the tree went on after the head
        prover.add(leaf)
    proof = prover.proof(index)
    root = root_by_definition(every[:size])
    assert fold_proof(every[index], index, size, proof) == root
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index)) if size > 1 else 9
    assert fold_proof(every[index], other, size, proof) != root
    assert fold_proof(every[other % size], index, size, proof) != root or other % size == index
    assert fold_proof(every[index], index, size, (*proof, every[0])) is None


@pytest.mark.parametrize("index", [0, 1, 5_000_000, 8_388_607, 8_388_608, 9_999_999])
def test_a_proof_among_ten_million_entries_is_below_four_kib(index: int) -> None:
    size = 10_000_000
    deepest = next(count for count in range(64) if fold_proof(b"", index, size, (b"",) * count))
    path = tuple(leaf_hash(b"").hex() for _ in range(deepest))
    proof = Proof(entry=index + 1, leaf=leaf_hash(b"").hex(), size=size, path=path)
    assert deepest <= 24
    assert len(msgspec.json.encode(proof)) <= 4 * 1024
