"""Pure values and rules: imports nothing of ours but the formats that the device signs, does no I/O, knows no framework."""
