"""The doors: decode, authorise, call one service, render."""
