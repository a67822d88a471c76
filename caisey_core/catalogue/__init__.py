"""What can be looked up: Piccolo tables, one module of queries per subject."""
