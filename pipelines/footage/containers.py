"""Which containers are opened, and how: real video containers alone, which name no other file."""

CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,mxf,ivf,wtv,nut,dv,m4v,h264,hevc,rm,yuv4mpegpipe,"
    "gif,apng"
)
"""Real video containers. Playlists and scripts, which name other files, are not among them and so are never opened."""
PROTOCOLS = "file,pipe"
BROADCAST = frozenset({"mpegts", "mpeg", "wtv"})
"""Containers whose times may run from anywhere and jump where recordings are spliced: a jump there is no pause."""
INDEXED = frozenset({"mp4", "matroska"})
"""Containers whose index makes jumping exact."""


def is_one_of(name: str, known: frozenset[str]) -> bool:
    """Whether a container's format name, which may list several, is one of these."""
    return bool(known & set(name.split(",")))
