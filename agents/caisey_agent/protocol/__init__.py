"""What travels between device and server, and what the device signs. The server imports this package and nothing else of the agent."""
