"""The REST API: what the pages do, for programs. JSON in and out, bearer tokens, RFC 9457 problems."""

from caisey_core.http.api import assignments, devices, installers, plugins, records, review, sessions

handlers = [
    *devices.handlers,
    *assignments.handlers,
    *sessions.handlers,
    *review.handlers,
    *records.handlers,
    *installers.handlers,
    *plugins.handlers,
]
