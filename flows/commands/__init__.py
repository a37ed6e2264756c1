"""The families of `sstrack` commands; each registers its own with the application in `flows.cli`."""
