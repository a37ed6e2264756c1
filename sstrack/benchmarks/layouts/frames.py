"""Folders of frames: which files are frames, in which order, and which number belongs to which label.

`pipelines/frames.py` follows the same rule in its own words, as it travels without this package.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

IMAGES = (".jpg", ".jpeg", ".png", ".bmp")
_RUNS = re.compile(r"([^0-9]*)([0-9]*)")


def hidden(name: str) -> bool:
    """Whether a file is no frame whatever its suffix: copying tools leave `._0001.jpg` beside `0001.jpg`."""
    return name.startswith(".") or name == "__MACOSX"


def natural(name: str) -> tuple[list[tuple[str, int]], str]:
    """Key that sorts file names as people count: 2.jpg before 10.jpg, whatever zeros stand before a number."""
    stem = name.rpartition(".")[0] or name
    return [(text, int(digits or -1)) for text, digits in _RUNS.findall(stem)], name


def images(folder: Path) -> tuple[Path, ...]:
    """Frames of a folder in natural order; hidden files and folders are none. Empty where there is no folder."""
    if not folder.is_dir():
        return ()
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_frame(entry.name) and not entry.is_dir(follow_symlinks=False)]
    return tuple(folder / name for name in sorted(names, key=natural))


def is_frame(name: str) -> bool:
    """Whether a file's name is that of a frame."""
    return Path(name).suffix.lower() in IMAGES and not hidden(name)


def by_number(found: Iterable[Path]) -> dict[int, Path]:
    """Those frames whose names are numbers alone, by number. ValueError where two have the same."""
    numbered: dict[int, Path] = {}
    for path in found:
        if path.stem.isascii() and path.stem.isdecimal():
            other = numbered.setdefault(int(path.stem), path)
            if other is not path:
                raise ValueError(f"{path.parent} has two images for frame {int(path.stem)}: {other.name}, {path.name}")
    return numbered


def first_folder(folders: Iterable[Path]) -> Path | None:
    """The first that exists."""
    return next((folder for folder in folders if folder.is_dir()), None)
