"""Making the agent start with the machine."""
