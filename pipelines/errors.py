"""Failures a person can act on. The command line prints their message without a traceback."""


class SSTrackError(Exception):
    """An expected failure: the message says what was wrong, with which input, and what to do next. Exit code 1."""


class UsageError(SSTrackError):
    """The command or its parameters are wrong; nothing was started. Exit code 2."""


class GateRefused(SSTrackError):
    """The work is done, and a gate keeps its result from being promoted. Exit code 3."""
