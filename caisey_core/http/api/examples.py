"""Examples for the API's description, made from its schemas: they fit what is described, also after it changed."""

import json
from typing import Any, Final
from uuid import NAMESPACE_DNS, uuid5

Schema = dict[str, Any]  # JSON Schema, as it is in the document

NOW: Final = 1_764_064_800_000_000  # UTC microseconds
DEEPEST: Final = 6  # what may be null is null from there on
WORDS: Final = {  # what a text with this name may say
    "name": "HD-FRONTDESK",
    "device_name": "HD-FRONTDESK",
    "client_name": "Harbor Dental",
    "tenant": "brightwater",
    "tenant_name": "Brightwater IT",
    "technician_name": "Tom Berger",
    "actor": "Tom Berger",
    "by": "Tom Berger",
    "owner": "Tom Berger",
    "assigned_by": "Dana Fox",
    "created_by": "Ada Lind",
    "changed_by": "Ada Lind",
    "revoked_by": "",
    "email": "tom.berger@brightwater.example",
    "who": "Sam at the front desk",
    "people": "Tom Berger",
    "user": "sam",
    "reason": "The printer does not print",
    "message": "It takes five minutes",
    "notes": "Restarted the print queue.",
    "checked": "A test page came out.",
    "line": "lpstat -p",
    "path": "/var/log/cups/error_log",
    "directory": "/home/sam",
    "output": "printer FrontDesk is idle\n",
    "scopes": "run",
    "label": "Monitoring",
    "last_used_from": "192.0.2.10",
    "passcode": "",
    "token": "cai_…",
    "link": "https://help.example.com/share/cai_…",
    "command": "caisey-agent enrol https://help.example.com --token cai_…",
    "start": "caisey-agent run",
    "service": "caisey-agent unit > /etc/systemd/system/caisey-agent.service",
    "sentence": "Verified: 214 events, consent before the first command, device co-signed",
    "proved": "Nothing was changed or taken away",
    "title": "Ran lpstat -p",
    "kind": "command-accepted",
    "system": "Debian GNU/Linux 12",
    "platform": "linux",
    "next": "",
    "after": "",
    "q": "printer",
    "may": "see devices",
    "broken": "",
    "why_not": "",
    "detail": "Harbor Dental · sam",
    "vkey": "caisey.local/…+a1b2c3d4+…",
    "content": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
NUMBERS: Final = {
    "limit": 50,
    "duration_minutes": 60,
    "expires_hours": 24,
    "uses": 10,
    "days": 365,
    "exit_code": 0,
    "size": 512,
}


def example(document: Schema, schema: Schema, name: str = "", depth: int = 0) -> Any:
    """Return a value that fits a schema of the document. `name` is the field that it is for."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices:
        null = any(choice.get("type") == "null" for choice in choices)
        return None if null and depth >= DEEPEST else example(document, choices[0], name, depth)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return next((one for one in schema["enum"] if one), schema["enum"][0])
    match schema.get("type"):
        case "object":
            inner = schema.get("properties", {})
            return {field: example(document, inner[field], field, depth + 1) for field in inner}
        case "array":
            return [example(document, schema["items"], name, depth + 1)] if schema.get("items") else []
        case "integer":
            return _number(schema, name)
        case "number":
            return 50.0
        case "boolean":
            return bool(schema.get("default", True))
        case "string":
            return _text(schema, name)
    return None


def _number(schema: Schema, name: str) -> int:
    if name == "at" or name == "until" or name.endswith(("_at", "_until")):
        return NOW
    return max(NUMBERS.get(name, 3), int(schema.get("minimum", 0)))


def _text(schema: Schema, name: str) -> str:
    match schema.get("format"):
        case "uuid":
            return str(uuid5(NAMESPACE_DNS, f"{name}.example.com"))
        case "date":
            return "2026-11-25"
        case "date-time":
            return "2026-11-25T10:00:00Z"
    return str(WORDS.get(name, schema.get("default") or name.replace("_", " ")))


def printed(value: Any) -> str:
    """Return an example as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)
