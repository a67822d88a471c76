"""The REST API: what the pages do, for programs. JSON in and out, bearer tokens, RFC 9457 problems."""

from typing import Final

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
from caisey_core.http.api.description import operation_id

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
handlers = [handler for subject in SUBJECTS.values() for handler in subject.handlers]
# One router for all: in routers of their own, two handlers of one address would each say that they are all that it has.
TAGS: Final = {operation_id(handler): tag for tag, subject in SUBJECTS.items() for handler in subject.handlers}
