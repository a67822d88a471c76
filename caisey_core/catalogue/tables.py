"""Piccolo's view of the tables; their SQL is in schema.py. Times are UTC microseconds."""

from piccolo.columns import UUID, BigInt, Boolean, Bytea, Varchar
from piccolo.table import Table


class TenantTable(Table, tablename="tenant"):
    id = UUID(primary_key=True)
    slug = Varchar()
    name = Varchar()
    created_at = BigInt()
    suspended_at = BigInt(null=True, default=None)
    suspended_reason = Varchar(length=None)
    changes = BigInt()  # counts what open pages and other servers must look at again


class ClientTable(Table, tablename="client"):
    id = UUID(primary_key=True)
    tenant = UUID()
    name = Varchar()
    lower_name = Varchar()
    created_at = BigInt()


class MemberTable(Table, tablename="member"):
    id = UUID(primary_key=True)
    tenant = UUID()
    name = Varchar()
    email = Varchar()
    role = Varchar()
    plugin = Varchar()
    subject = Varchar()
    active = Boolean()
    created_at = BigInt()
    narrowed = Boolean()
    managed_by = Varchar()


class MemberClientTable(Table, tablename="member_client"):
    id = UUID(primary_key=True)
    tenant = UUID()
    member = UUID()
    client = UUID()


class BrowserSessionTable(Table, tablename="browser_session"):
    id = UUID(primary_key=True)
    tenant = UUID()
    member = UUID()
    token_hash = Bytea()
    way = Varchar()
    created_at = BigInt()
    last_used_at = BigInt()
    idle_until = BigInt()
    expires_at = BigInt()
    proved_at = BigInt()
    provider_session = Varchar(length=None)
    sign_out_hint = Bytea(null=True, default=None)


class ApiTokenTable(Table, tablename="api_token"):
    id = UUID(primary_key=True)
    tenant = UUID()
    member = UUID()
    token_hash = Bytea()
    label = Varchar()
    created_at = BigInt()
    revoked_at = BigInt(null=True, default=None)
    service = Boolean()
    scopes = Varchar()
    clients = Varchar(length=None)
    created_by_name = Varchar()
    expires_at = BigInt(null=True, default=None)
    last_used_at = BigInt(null=True, default=None)
    last_used_from = Varchar()


class ApiAnswerTable(Table, tablename="api_answer"):
    id = UUID(primary_key=True)
    tenant = UUID()
    caller = UUID()
    key = Varchar()
    begun_at = BigInt()
    fingerprint = Bytea(null=True, default=None)
    answer = Bytea(null=True, default=None)


class SignInLinkTable(Table, tablename="sign_in_link"):
    id = UUID(primary_key=True)
    tenant = UUID()
    member = UUID()
    token_hash = Bytea()
    expires_at = BigInt()
    reusable = Boolean()
    used_at = BigInt(null=True, default=None)


class SignInAttemptTable(Table, tablename="sign_in_attempt"):
    id = UUID(primary_key=True)
    tenant = UUID()
    plugin = Varchar()
    handle_hash = Bytea()
    browser_hash = Bytea()
    sealed = Bytea()
    expires_at = BigInt()


class MemberWayTable(Table, tablename="member_way"):
    id = UUID(primary_key=True)
    tenant = UUID()
    member = UUID()
    plugin = Varchar()
    subject = Varchar(length=None)
    created_at = BigInt()


class InstallerTable(Table, tablename="installer"):
    id = UUID(primary_key=True)
    tenant = UUID()
    client = UUID(null=True, default=None)
    device_name = Varchar()
    token_hash = Bytea()
    created_by = UUID()
    created_by_name = Varchar()
    created_at = BigInt()
    expires_at = BigInt(null=True, default=None)
    uses = BigInt(null=True, default=None)
    uses_left = BigInt(null=True, default=None)
    revoked_at = BigInt(null=True, default=None)
    replaced_by = UUID(null=True, default=None)


class DeviceTable(Table, tablename="device"):
    id = UUID(primary_key=True)
    tenant = UUID()
    client = UUID()
    name = Varchar()
    key = Bytea()
    installer = UUID()
    installer_label = Varchar()
    enrolled_at = BigInt()
    removed_at = BigInt(null=True, default=None)
    removed_reason = Varchar()
    facts = Bytea(null=True, default=None)
    last_seen = BigInt(null=True, default=None)
    moved_at = BigInt()


class AssignmentTable(Table, tablename="assignment"):
    id = UUID(primary_key=True)
    tenant = UUID()
    device = UUID()
    technician = UUID()
    technician_name = Varchar()
    priority = Varchar()
    reason = Varchar(length=None)
    due_at = BigInt(null=True, default=None)
    assigned_by_name = Varchar()
    assigned_at = BigInt()
    closed_at = BigInt(null=True, default=None)
    closed_reason = Varchar(length=None)


class SessionTable(Table, tablename="session"):
    id = UUID(primary_key=True)
    tenant = UUID()
    device = UUID()
    device_name = Varchar()
    client = UUID()
    client_name = Varchar()
    technician = UUID()
    technician_name = Varchar()
    state = Varchar()
    reason = Varchar(length=None)
    scopes = Varchar()
    duration_seconds = BigInt()
    requested_at = BigInt()
    shown_at = BigInt(null=True, default=None)
    granted_at = BigInt(null=True, default=None)
    who = Varchar()
    until = BigInt(null=True, default=None)
    ended_at = BigInt(null=True, default=None)
    resolution = Varchar()
    commands = BigInt()
    events = BigInt()
    sealed = Boolean()
    search = Varchar(length=None)


class NoticeTable(Table, tablename="notice"):
    id = UUID(primary_key=True)
    tenant = UUID()
    member = UUID()
    key = Varchar()
    title = Varchar()
    text = Varchar(length=None)
    link = Varchar()
    urgency = Varchar()
    created_at = BigInt()
    read_at = BigInt(null=True, default=None)


class PluginEnabledTable(Table, tablename="plugin_enabled"):
    id = UUID(primary_key=True)
    tenant = UUID()
    plugin = Varchar()
    settings = Bytea(null=True, default=None)
    enabled_at = BigInt()
    enabled = Boolean()
    allow_private = Boolean()
    version = BigInt()


class PluginDefaultTable(Table, tablename="plugin_default"):
    id = UUID(primary_key=True)
    tenant = UUID()
    kind = Varchar()
    plugin = Varchar()


class PluginChangeTable(Table, tablename="plugin_change"):
    id = UUID(primary_key=True)
    tenant = UUID()
    version = BigInt()
    sealed_key = Bytea(null=True, default=None)


class PluginEntryTable(Table, tablename="plugin_entry"):
    id = UUID(primary_key=True)
    tenant = UUID()
    plugin = Varchar()
    key = Varchar()
    value = Bytea()
    version = BigInt()


class ErasureTable(Table, tablename="erasure"):
    session = UUID(primary_key=True)
    tenant = UUID()
    rule = Varchar()
    reason = Varchar(length=None)
    actor = Bytea()
    asked_at = BigInt()
    erased_at = BigInt(null=True, default=None)


class RetentionTable(Table, tablename="retention"):
    id = UUID(primary_key=True)
    tenant = UUID()
    client = UUID(null=True, default=None)
    days = BigInt()


class WitnessTable(Table, tablename="witness"):
    id = UUID(primary_key=True)  # the device's
    tenant = UUID()
    size = BigInt()
    seen_at = BigInt()
    refused_at = BigInt(null=True, default=None)
    reason = Varchar()
    remembered = BigInt()


class TranscriptTable(Table, tablename="transcript"):
    id = UUID(primary_key=True)
    tenant = UUID()
    session = UUID()
    events = BigInt()
    version = BigInt()
    decisions = Bytea()
    created_at = BigInt()
    created_by_name = Varchar()
    changed_at = BigInt()
    changed_by_name = Varchar()
    lines = BigInt()
    withheld = BigInt()
    hidden = BigInt()
    published_at = BigInt(null=True, default=None)


class ShareTable(Table, tablename="share"):
    id = UUID(primary_key=True)
    tenant = UUID()
    transcript = UUID()
    session = UUID()
    token_hash = Bytea()
    passcode = Varchar(length=None)
    created_at = BigInt()
    created_by_name = Varchar()
    refreshed_at = BigInt(null=True, default=None)
    expires_at = BigInt(null=True, default=None)
    revoked_at = BigInt(null=True, default=None)
    revoked_by_name = Varchar()
    openings = BigInt()
    last_opened_at = BigInt(null=True, default=None)
    title = Varchar(length=None)
    edited = BigInt()
    terminal = Boolean()
    sealed = Boolean()


class ShareFileTable(Table, tablename="share_file"):
    id = UUID(primary_key=True)
    tenant = UUID()
    share = UUID()
    name = Varchar()
    part = BigInt()
    data = Bytea()


ALL = (
    TenantTable,
    ClientTable,
    MemberTable,
    MemberClientTable,
    BrowserSessionTable,
    ApiTokenTable,
    ApiAnswerTable,
    SignInLinkTable,
    SignInAttemptTable,
    MemberWayTable,
    InstallerTable,
    DeviceTable,
    AssignmentTable,
    SessionTable,
    NoticeTable,
    PluginEnabledTable,
    PluginDefaultTable,
    PluginChangeTable,
    PluginEntryTable,
    ErasureTable,
    RetentionTable,
    WitnessTable,
    TranscriptTable,
    ShareTable,
    ShareFileTable,
)
