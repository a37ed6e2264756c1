"""Families of commands, one module each; `cli/main.py` registers them."""
