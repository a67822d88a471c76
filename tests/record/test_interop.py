"""What Caisey signs and proves is read by an implementation that we did not write: Go's sumdb/note and sumdb/tlog."""

import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from places import Place

from caisey_core.record import checkpoint as notes
from caisey_core.record.merkle import consistency_proof, inclusion_proofs, leaf_hash

Ask = Callable[[Any], str]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """The Go program, built once from Debian's packages; a question gets its words."""
    program = tmp_path_factory.mktemp("go") / "interop"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(program.parent / "cache"),
        "GOFLAGS": "",
    }
    source = Path(__file__).parent / "interop" / "main.go"
    subprocess.run(["go", "build", "-o", program, source], env=environment, check=True, timeout=300)

    def asked(question: Any) -> str:
        done = subprocess.run([program], input=json.dumps(question), capture_output=True, text=True, timeout=60)
        assert not done.stderr, done.stderr
        return done.stdout.strip()

    return asked


@pytest.fixture(scope="module")
def question(worked: Place) -> dict[str, Any]:
    """All leaves of a real tenant's log with their proofs, and all its checkpoints with theirs."""
    store = worked.open()
    (key,) = store.tenants()
    datas = [leaf.data() for leaf in store.log_leaves(key.tenant, 0, 10**6)]
    signed = [note for size, note in store.checkpoints(key.tenant) if size]
    store.close()
    leaves = [leaf_hash(data) for data in datas]
    size = notes.verify(signed[-1], key.origin, key.public).size
    assert size == len(leaves) > 20
    sizes = [notes.verify(note, key.origin, key.public).size for note in signed]
    return {
        "Vkey": notes.vkey(key.origin, key.public),
        "Note": signed[-1],
        "Leaves": [
            {"Index": i, "Data": data.hex(), "Path": [node.hex() for node in path]}
            for i, (data, path) in enumerate(zip(datas, inclusion_proofs(leaves, range(size)), strict=True))
        ],
        "Older": [
            {"Note": note, "Path": [node.hex() for node in consistency_proof(leaves, old)]}
            for note, old in zip(signed, sizes, strict=True)
        ],
    }


def test_go_reads_what_we_sign_and_prove(ask: Ask, question: dict[str, Any]) -> None:
    """Every checkpoint, every leaf's inclusion and every older checkpoint's consistency hold for Go."""
    assert ask(question) == "ok"


def test_go_refuses_what_was_changed(ask: Ask, question: dict[str, Any]) -> None:
    """The same question with one thing changed is answered no: the yes above means something."""
    for change, words in (
        (lambda q: q["Leaves"][3].update(Data="00"), "inclusion of 3"),
        (lambda q: q["Leaves"][5]["Path"].pop(), "inclusion of 5"),
        (lambda q: q["Older"][4].update(Path=q["Older"][5]["Path"]), "consistency with"),
        (lambda q: q.update(Note=q["Note"].replace("\n", "\n\n", 1)), "note"),
        (lambda q: q.update(Vkey="other" + q["Vkey"]), "vkey"),
    ):
        asked = copy.deepcopy(question)
        change(asked)
        assert words in ask(asked)
