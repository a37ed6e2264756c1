"""Where MLflow's pages are, in words that may be shown to anybody: a URI may hold a login."""

from urllib.parse import quote, urlsplit


def server_of(uri: str) -> str:
    """Scheme, host and port of a server's URI, without user and password."""
    place = urlsplit(uri)
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}"


def run_page(uri: str, experiment: str, run: str) -> str | None:
    """A run's page; None where `uri` is no server's."""
    return _page(uri, f"experiments/{experiment}/runs/{run}")


def version_page(uri: str, name: str, version: str) -> str | None:
    """A version's page; None where `uri` is no server's."""
    return _page(uri, f"models/{quote(name, safe='')}/versions/{version}")


def _page(uri: str, page: str) -> str | None:
    if not uri.startswith(("http://", "https://")):
        return None
    return f"{server_of(uri)}{urlsplit(uri).path.rstrip('/')}/#/{page}"
