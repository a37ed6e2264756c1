"""The worst sequences of a section as one JPEG, for places that show pictures and no pages."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.report.section import Section, Shown

Picture = NDArray[np.uint8]

SHOWN = 3
_TILE = (176, 132)
"""Four beside each other are as wide as MLflow shows a description at least; what is wider it cuts."""
_HEAD, _FOOT = 26, 18
_INK, _PAPER = (36, 30, 28), (255, 255, 255)


def draw_worst(section: Section) -> bytes | None:
    """A row of frames for each of the three worst sequences, said what is seen in each; None without pictures."""
    rows = [_row(shown, section.value_name) for shown in section.worst[:SHOWN] if shown.tiles]
    if not rows:
        return None
    width = max(row.shape[1] for row in rows)
    wide = [cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=_PAPER) for row in rows]
    _, jpeg = cv2.imencode(".jpg", np.concatenate(wide), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return jpeg.tobytes()


def _row(shown: Shown, metric: str) -> Picture:
    columns = [_captioned(_decoded(tile.uri), f"{tile.frame}: {tile.what}") for tile in shown.tiles]
    frames = np.concatenate(columns, axis=1)
    head = np.full((_HEAD, frames.shape[1], 3), _PAPER, np.uint8)
    lost = f", {shown.strips[0].lost}" if shown.strips and shown.strips[0].lost else ""
    _write(head, f"{shown.name}: {metric} {shown.value:.1f}{lost}", _HEAD - 8, 0.5)
    return np.concatenate([head, frames])


def _captioned(tile: Picture, text: str) -> Picture:
    small = np.asarray(cv2.resize(tile, _TILE, interpolation=cv2.INTER_AREA), np.uint8)
    foot = np.full((_FOOT, small.shape[1], 3), _PAPER, np.uint8)
    _write(foot, text, _FOOT - 6, 0.36)
    return np.concatenate([small, foot])


def _write(on: Picture, text: str, y: int, size: float) -> None:
    plain = text.encode("ascii", "replace").decode()  # the font has no more
    cv2.putText(on, plain, (6, y), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)


def _decoded(uri: str) -> Picture:
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None  # we encoded it
    return np.asarray(picture, dtype=np.uint8)
