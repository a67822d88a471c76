"""The pages of the web UI. Each handler decodes what a browser sent, calls a service, and renders what came back."""

from caisey_core.http.pages import (
    account,
    administration,
    api_docs,
    assignments,
    devices,
    events,
    members,
    notices,
    plugins,
    records,
    sessions,
    share,
    sign_in,
    tokens,
    transcripts,
    verify,
)

handlers = [
    *devices.handlers,
    *assignments.handlers,
    *sessions.handlers,
    *administration.handlers,
    *members.handlers,
    *account.handlers,
    *tokens.handlers,
    *notices.handlers,
    *plugins.handlers,
    *records.handlers,
    *transcripts.handlers,
    *events.handlers,
]
public_handlers = [*api_docs.handlers, *sign_in.handlers, *verify.handlers, *share.handlers]
