"""Append-only, durable, verifiable: knows bytes and streams, not what they mean."""
