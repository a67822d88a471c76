"""Who is connected now: agent links, presence, watchers, running clocks."""
