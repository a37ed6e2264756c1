"""The `sstrack` command, thin."""
