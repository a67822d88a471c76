"""The REST API: what the pages do, for programs. JSON in and out, bearer tokens, RFC 9457 problems."""

from typing import Final

from litestar import Router

from caisey_core.http.api import (
    assignments,
    audit,
    clients,
    devices,
    files,
    installers,
    members,
    notices,
    plugins,
    records,
    review,
    sessions,
    tokens,
    transcripts,
)

SUBJECTS: Final = {
    "Caller and tokens": tokens,
    "Devices": devices,
    "Assignments": assignments,
    "Sessions": sessions,
    "Files and outputs": files,
    "Review": review,
    "Search": records,
    "Transcripts and shares": transcripts,
    "Clients": clients,
    "Enrolment": installers,
    "Members": members,
    "Plugins": plugins,
    "Audit log": audit,
    "Notices and changes": notices,
}
routers = [Router("/", route_handlers=subject.handlers, tags=[tag]) for tag, subject in SUBJECTS.items()]
