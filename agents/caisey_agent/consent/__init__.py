"""Asking the person at the device, and keeping what they agreed to."""
