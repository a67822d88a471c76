"""Caisey: a self-hosted control plane for remote troubleshooting at managed service providers."""

__version__ = "0.1.0"
