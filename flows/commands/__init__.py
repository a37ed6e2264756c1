"""Families of commands of `sstrack`, one module each; flows/cli.py registers them."""
