"""Who decides, as the journal names them."""

import getpass
import socket


def current_actor() -> str:
    """`user@host` of this process."""
    return f"{current_user()}@{socket.gethostname()}"


def current_user() -> str:
    """The user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "somebody"
