"""The tables' SQL, in steps that only add. A step that was released is never changed.

The steps are written for SQLite; `for_postgresql` is the one place that translates them. They run in one transaction that keeps
others out (IMMEDIATE; an advisory lock), so that two processes starting at once do not meet. Piccolo's own migrations record
each step in a transaction of its own and take no lock, and cost 0.24 s at each start.
"""

import re
from typing import Final

# texts compare by their bytes, as in SQLite, whatever the database's locale is
_TYPES: Final = {"BLOB": "BYTEA", "VARCHAR": 'VARCHAR COLLATE "C"', "TEXT": 'TEXT COLLATE "C"'}


def for_postgresql(step: str) -> str:
    """Return a step as PostgreSQL has it."""
    return re.sub(r"\b(BLOB|VARCHAR|TEXT)\b", lambda found: _TYPES[found.group()], step)


STEPS: Final = (
    """
CREATE TABLE tenant (id UUID PRIMARY KEY, slug VARCHAR NOT NULL UNIQUE, name VARCHAR NOT NULL, created_at BIGINT NOT NULL);
CREATE TABLE client (id UUID PRIMARY KEY, tenant UUID NOT NULL, name VARCHAR NOT NULL, lower_name VARCHAR NOT NULL,
  created_at BIGINT NOT NULL);
CREATE UNIQUE INDEX client_name ON client (tenant, lower_name);
CREATE TABLE member (id UUID PRIMARY KEY, tenant UUID NOT NULL, name VARCHAR NOT NULL, email VARCHAR NOT NULL,
  role VARCHAR NOT NULL, plugin VARCHAR NOT NULL, subject VARCHAR NOT NULL, active BOOLEAN NOT NULL, created_at BIGINT NOT NULL);
CREATE UNIQUE INDEX member_email ON member (tenant, email);
CREATE UNIQUE INDEX member_subject ON member (tenant, plugin, subject);
CREATE TABLE member_client (id UUID PRIMARY KEY, tenant UUID NOT NULL, member UUID NOT NULL, client UUID NOT NULL);
CREATE UNIQUE INDEX member_client_pair ON member_client (tenant, member, client);
CREATE TABLE browser_session (id UUID PRIMARY KEY, tenant UUID NOT NULL, member UUID NOT NULL, token_hash BLOB NOT NULL UNIQUE,
  way VARCHAR NOT NULL, created_at BIGINT NOT NULL, last_used_at BIGINT NOT NULL, idle_until BIGINT NOT NULL,
  expires_at BIGINT NOT NULL);
CREATE TABLE api_token (id UUID PRIMARY KEY, tenant UUID NOT NULL, member UUID NOT NULL, token_hash BLOB NOT NULL UNIQUE,
  label VARCHAR NOT NULL, created_at BIGINT NOT NULL, revoked_at BIGINT);
CREATE TABLE sign_in_link (id UUID PRIMARY KEY, tenant UUID NOT NULL, member UUID NOT NULL, token_hash BLOB NOT NULL UNIQUE,
  expires_at BIGINT NOT NULL, reusable BOOLEAN NOT NULL, used_at BIGINT);
CREATE TABLE installer (id UUID PRIMARY KEY, tenant UUID NOT NULL, client UUID, device_name VARCHAR NOT NULL,
  token_hash BLOB NOT NULL UNIQUE, created_by UUID NOT NULL, created_by_name VARCHAR NOT NULL, created_at BIGINT NOT NULL,
  expires_at BIGINT, uses BIGINT, uses_left BIGINT, revoked_at BIGINT, replaced_by UUID);
CREATE INDEX installer_tenant ON installer (tenant, created_at);
CREATE TABLE device (id UUID PRIMARY KEY, tenant UUID NOT NULL, client UUID NOT NULL, name VARCHAR NOT NULL,
  key BLOB NOT NULL UNIQUE, installer UUID NOT NULL, installer_label VARCHAR NOT NULL, enrolled_at BIGINT NOT NULL,
  removed_at BIGINT, removed_reason VARCHAR NOT NULL, facts BLOB, last_seen BIGINT);
CREATE INDEX device_tenant ON device (tenant);
CREATE TABLE assignment (id UUID PRIMARY KEY, tenant UUID NOT NULL, device UUID NOT NULL, technician UUID NOT NULL,
  technician_name VARCHAR NOT NULL, priority VARCHAR NOT NULL, reason VARCHAR NOT NULL, due_at BIGINT,
  assigned_by_name VARCHAR NOT NULL, assigned_at BIGINT NOT NULL, closed_at BIGINT, closed_reason VARCHAR NOT NULL);
CREATE UNIQUE INDEX assignment_open ON assignment (tenant, device) WHERE closed_at IS NULL;
CREATE INDEX assignment_device ON assignment (tenant, device, assigned_at);
CREATE TABLE session (id UUID PRIMARY KEY, tenant UUID NOT NULL, device UUID NOT NULL, device_name VARCHAR NOT NULL,
  client UUID NOT NULL, client_name VARCHAR NOT NULL, technician UUID NOT NULL, technician_name VARCHAR NOT NULL,
  state VARCHAR NOT NULL, reason VARCHAR NOT NULL, scopes VARCHAR NOT NULL, duration_seconds BIGINT NOT NULL,
  requested_at BIGINT NOT NULL, shown_at BIGINT, granted_at BIGINT, who VARCHAR NOT NULL, until BIGINT, ended_at BIGINT,
  resolution VARCHAR NOT NULL, commands BIGINT NOT NULL, events BIGINT NOT NULL, sealed BOOLEAN NOT NULL,
  search VARCHAR NOT NULL);
CREATE INDEX session_device ON session (tenant, device, requested_at);
CREATE INDEX session_ended ON session (tenant, ended_at);
CREATE TABLE notice (id UUID PRIMARY KEY, tenant UUID NOT NULL, member UUID NOT NULL, key VARCHAR NOT NULL,
  title VARCHAR NOT NULL, text VARCHAR NOT NULL, link VARCHAR NOT NULL, urgency VARCHAR NOT NULL, created_at BIGINT NOT NULL,
  read_at BIGINT);
CREATE UNIQUE INDEX notice_key ON notice (tenant, member, key);
CREATE TABLE plugin_enabled (id UUID PRIMARY KEY, tenant UUID NOT NULL, plugin VARCHAR NOT NULL, settings BLOB,
  enabled_at BIGINT NOT NULL);
CREATE UNIQUE INDEX plugin_enabled_pair ON plugin_enabled (tenant, plugin);
CREATE TABLE plugin_entry (id UUID PRIMARY KEY, tenant UUID NOT NULL, plugin VARCHAR NOT NULL, key VARCHAR NOT NULL,
  value BLOB NOT NULL, version BIGINT NOT NULL);
CREATE UNIQUE INDEX plugin_entry_key ON plugin_entry (tenant, plugin, key);
""",
    """
CREATE TABLE erasure (session UUID PRIMARY KEY, tenant UUID NOT NULL, rule VARCHAR NOT NULL, reason VARCHAR NOT NULL,
  actor BLOB NOT NULL, asked_at BIGINT NOT NULL, erased_at BIGINT);
CREATE INDEX erasure_unfinished ON erasure (tenant) WHERE erased_at IS NULL;
CREATE TABLE retention (id UUID PRIMARY KEY, tenant UUID NOT NULL, client UUID, days BIGINT NOT NULL);
CREATE INDEX retention_tenant ON retention (tenant);
""",
    """
CREATE TABLE witness (id UUID PRIMARY KEY, tenant UUID NOT NULL, size BIGINT NOT NULL, seen_at BIGINT NOT NULL,
  refused_at BIGINT, reason VARCHAR NOT NULL, remembered BIGINT NOT NULL);
CREATE INDEX witness_tenant ON witness (tenant);
""",
    """
CREATE TABLE transcript (id UUID PRIMARY KEY, tenant UUID NOT NULL, session UUID NOT NULL, events BIGINT NOT NULL,
  version BIGINT NOT NULL, decisions BLOB NOT NULL, created_at BIGINT NOT NULL, created_by_name VARCHAR NOT NULL,
  changed_at BIGINT NOT NULL, changed_by_name VARCHAR NOT NULL, lines BIGINT NOT NULL, withheld BIGINT NOT NULL,
  hidden BIGINT NOT NULL, published_at BIGINT);
CREATE INDEX transcript_session ON transcript (tenant, session, created_at);
CREATE TABLE share (id UUID PRIMARY KEY, tenant UUID NOT NULL, transcript UUID NOT NULL, session UUID NOT NULL,
  token_hash BLOB NOT NULL UNIQUE, passcode VARCHAR NOT NULL, created_at BIGINT NOT NULL, created_by_name VARCHAR NOT NULL,
  refreshed_at BIGINT, expires_at BIGINT, revoked_at BIGINT, revoked_by_name VARCHAR NOT NULL, openings BIGINT NOT NULL,
  last_opened_at BIGINT, title VARCHAR NOT NULL, edited BIGINT NOT NULL, terminal BOOLEAN NOT NULL, sealed BOOLEAN NOT NULL);
CREATE UNIQUE INDEX share_transcript ON share (tenant, transcript);
CREATE INDEX share_tenant ON share (tenant, created_at);
CREATE TABLE share_file (id UUID PRIMARY KEY, tenant UUID NOT NULL, share UUID NOT NULL, name VARCHAR NOT NULL,
  part BIGINT NOT NULL, data BLOB NOT NULL);
CREATE UNIQUE INDEX share_file_part ON share_file (tenant, share, name, part)
""",
    """
ALTER TABLE browser_session ADD COLUMN provider_session VARCHAR NOT NULL DEFAULT '';
ALTER TABLE browser_session ADD COLUMN sign_out_hint BLOB;
CREATE INDEX browser_session_provider ON browser_session (tenant, way, provider_session) WHERE provider_session <> '';
CREATE TABLE sign_in_attempt (id UUID PRIMARY KEY, tenant UUID NOT NULL, plugin VARCHAR NOT NULL,
  handle_hash BLOB NOT NULL UNIQUE, browser_hash BLOB NOT NULL, sealed BLOB NOT NULL, expires_at BIGINT NOT NULL);
CREATE TABLE member_way (id UUID PRIMARY KEY, tenant UUID NOT NULL, member UUID NOT NULL, plugin VARCHAR NOT NULL,
  subject VARCHAR NOT NULL, created_at BIGINT NOT NULL);
CREATE UNIQUE INDEX member_way_subject ON member_way (tenant, plugin, subject);
CREATE INDEX member_way_member ON member_way (tenant, member);
DROP INDEX member_email;
CREATE UNIQUE INDEX member_email ON member (tenant, email) WHERE email <> ''
""",
    """
ALTER TABLE plugin_enabled ADD COLUMN enabled BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE plugin_enabled ADD COLUMN allow_private BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE plugin_enabled ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
CREATE TABLE plugin_default (id UUID PRIMARY KEY, tenant UUID NOT NULL, kind VARCHAR NOT NULL, plugin VARCHAR NOT NULL);
CREATE UNIQUE INDEX plugin_default_kind ON plugin_default (tenant, kind);
CREATE TABLE plugin_change (id UUID PRIMARY KEY, tenant UUID NOT NULL UNIQUE, version BIGINT NOT NULL, sealed_key BLOB)
""",
    """
ALTER TABLE tenant ADD COLUMN suspended_at BIGINT;
ALTER TABLE tenant ADD COLUMN suspended_reason VARCHAR NOT NULL DEFAULT '';
ALTER TABLE tenant ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN narrowed BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE member ADD COLUMN managed_by VARCHAR NOT NULL DEFAULT '';
UPDATE member SET narrowed = TRUE WHERE EXISTS (SELECT 1 FROM member_client WHERE member_client.member = member.id);
ALTER TABLE device ADD COLUMN moved_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE browser_session ADD COLUMN proved_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX browser_session_member ON browser_session (tenant, member);
CREATE INDEX api_token_member ON api_token (tenant, member)
""",
    """
ALTER TABLE api_token ADD COLUMN service BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE api_token ADD COLUMN scopes VARCHAR NOT NULL DEFAULT 'read dispatch work share enrol manage audit admin';
ALTER TABLE api_token ADD COLUMN clients VARCHAR NOT NULL DEFAULT '';
ALTER TABLE api_token ADD COLUMN created_by_name VARCHAR NOT NULL DEFAULT '';
ALTER TABLE api_token ADD COLUMN expires_at BIGINT;
ALTER TABLE api_token ADD COLUMN last_used_at BIGINT;
ALTER TABLE api_token ADD COLUMN last_used_from VARCHAR NOT NULL DEFAULT '';
CREATE INDEX api_token_tenant ON api_token (tenant, created_at);
CREATE TABLE api_answer (id UUID PRIMARY KEY, tenant UUID NOT NULL, caller UUID NOT NULL, key VARCHAR NOT NULL,
  begun_at BIGINT NOT NULL, fingerprint BLOB, answer BLOB);
CREATE UNIQUE INDEX api_answer_key ON api_answer (tenant, caller, key);
CREATE INDEX api_answer_begun ON api_answer (tenant, begun_at)
""",
)
