"""Prefect flows and the `sstrack` command: thin layers over `pipelines`."""
