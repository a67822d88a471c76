"""An index over the disclosed text of sessions: beside the record, made from it, and made again from it where it is lost.

It knows lines and sessions, not events. It is a room of its own because it is neither: the record must never lose anything and
the catalogue's rows are small, while this is large, can be thrown away, and has its own database file or schema.
"""
