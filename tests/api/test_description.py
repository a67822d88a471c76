"""The API's description: complete, with examples that fit, and true of a running server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from companies import Companies
from doors import TLS
from stage import Stage, set_stage

EXAMPLES = 6  # of each operation and person; with the thousands that cover each constraint, half a minute


@pytest.fixture(scope="module")
def acme(companies: Companies) -> Stage:
    """A company with a session under way."""
    return set_stage(companies, companies.acme)


@pytest.fixture(scope="module")
def description(companies: Companies) -> Any:
    """The description as it is served."""
    return httpx2.get(companies.url + "/api/v1/openapi.json", verify=TLS).json()


def _operations(description: Any) -> Iterator[tuple[str, str, Any]]:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            yield method, path, operation


def _whole(description: Any, found: Any) -> Any:
    while "$ref" in found:
        inner = description
        for part in found["$ref"].removeprefix("#/").split("/"):
            inner = inner[part]
        found = inner
    return found


def test_each_operation_is_described(description: Any) -> None:
    """A summary, a subject, its refusals, the key of a POST, and for each body and answer an example that fits its schema."""
    assert description["openapi"].startswith("3.1")
    known = {tag["name"] for tag in description["tags"]}
    seen = set[str]()
    for method, path, operation in _operations(description):
        where = f"{method} {path}"
        assert operation["operationId"] not in seen, where
        seen.add(operation["operationId"])
        assert operation["summary"], where
        assert operation["description"], where
        for parameter in operation.get("parameters", []):
            assert _whole(description, parameter)["description"], where
        if path.startswith("/api/v1/t/"):
            assert set(operation["tags"]) <= known, where
            assert operation["security"] == [{"token": []}], where
            assert ("#/components/parameters/IdempotencyKey" in json.dumps(operation)) == (method == "post"), where
            assert {"401", "403", "404", "409", "422", "429", "503"} <= set(operation["responses"]), where
        answers = [_whole(description, one) for one in operation["responses"].values()]
        for one in (*answers, operation.get("requestBody", {})):
            for media, content in one.get("content", {}).items():
                assert content["schema"], where
                if media.endswith("json"):
                    whole = {**content["schema"], "components": description["components"]}
                    jsonschema_rs.Draft202012Validator(whole).validate(content["example"])


def test_what_an_example_sends_is_understood(acme: Stage, description: Any) -> None:
    """The example of each body is decoded as it stands: it is refused for what it says, never for how it is written."""
    for method, path, operation in _operations(description):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None or not path.startswith("/api/v1/t/"):
            continue
        address = path.removeprefix("/api/v1/t/{tenant}")
        for name in ("device", "session", "assignment", "transfer", "client", "identity", "installer", "transcript", "share"):
            address = address.replace("{" + name + "}", "00000000-0000-4000-8000-000000000000")
        answer = acme.company.people["senior"].call(method.upper(), address, json=content["example"])
        assert answer.status_code < 500, answer.text
        assert "cannot be read" not in answer.text, (path, answer.text)


def _settings(folder: Path, acme: Stage) -> None:
    """Name what there is, so that operations find it; what an operation would end is a thing that nobody needs afterwards."""
    ids = {
        f"path.{name}": acme.id(name) for name in ("tenant", "device", "session", "command", "transfer", "client", "identity")
    }
    ids |= {f"path.{name}": acme.id(name) for name in ("assignment", "installer", "transcript", "share", "token", "position")}
    nothing = "00000000-0000-4000-8000-000000000000"
    ending = {"removeDevice": "device", "moveDevice": "device", "completeSession": "session", "cancelSession": "session"}
    lines = [
        "[parameters]",
        *(f'"{name}" = {value if name.endswith("position") else json.dumps(value)}' for name, value in ids.items()),
    ]
    for operation, name in ending.items():
        lines += ["[[operations]]", f'include-operation-id = "{operation}"', f'parameters = {{ "path.{name}" = "{nothing}" }}']
    # what a schema cannot say, such as that a technician serves a client, is refused with 422
    lines += [
        "[checks.positive_data_acceptance]",
        'expected-statuses = ["2xx", "401", "403", "404", "409", "413", "422", "429", "503"]',
    ]
    (folder / "schemathesis.toml").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("who", ["admin", "senior"])
def test_schemathesis_finds_nothing(companies: Companies, acme: Stage, tmp_path: Path, who: str) -> None:
    """Thousands of requests made from the description: no fault, no status, header or body that it does not tell of."""
    _settings(tmp_path, acme)
    command = [sys.executable, "-m", "schemathesis.cli", "run", companies.url + "/api/v1/openapi.json"]
    command += ["--header", f"Authorization: Bearer {acme.company.people[who].token}", "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color"]
    command += ["--exclude-operation-id", "streamChanges"]  # a stream has no end; tests/api/test_lists.py reads it
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert 'event": "request failed' not in companies.server.log()
