"""Which containers are opened, and how: real video containers alone, which name no other file."""

from pathlib import Path

CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,mxf,ivf,wtv,nut,dv,m4v,h264,hevc,rm,yuv4mpegpipe,"
    "gif,apng"
)
"""Real video containers. Playlists and scripts, which name other files, are not among them and so are never opened."""
_PICTURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"BM", "BMP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
)
"""Place and bytes by which formats of still, or of unreadable moving, pictures are known."""
PROTOCOLS = "file,pipe"
BROADCAST = frozenset({"mpegts", "mpeg", "wtv"})
"""Containers whose times may run from anywhere and jump where recordings are spliced: a jump there is no pause."""
MP4 = frozenset({"mp4", "mov"})
JOINED_UNREAD = MP4 | {"flv"}
"""Containers of which a second film, put behind the first, is never read."""
INDEXED = frozenset({"mp4", "matroska"})
"""Containers whose index makes jumping exact."""


def picture_kind(path: Path) -> str:
    """The picture format of a file that is no video, empty where it is none of those known."""
    with path.open("rb") as file:
        head = file.read(16)
    return next((name for at, mark, name in _PICTURES if head[at : at + len(mark)] == mark), "")


def is_one_of(name: str, known: frozenset[str]) -> bool:
    """Whether a container's format name, which may list several, is one of these."""
    return bool(known & set(name.split(",")))
