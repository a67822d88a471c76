"""The program on the device: it dials out, asks the person, runs the shell and signs what it did."""

__version__ = "0.1.0"
