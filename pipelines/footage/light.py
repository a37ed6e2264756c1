"""High dynamic range to standard: a table that takes PQ or HLG pictures to what an ordinary screen shows.

The table is one and the same for both decoders' filters (`lut3d`), so that they agree and need no library for it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipelines.footage.chain import Chain

_PQ, _HLG = 16, 18
_NAMES = {_PQ: "PQ", _HLG: "HLG"}
_WHITE = 203.0
"""Nits of white paper in HDR (ITU-R BT.2408); it becomes bright, not dazzling."""
_PEAK = 1000.0
"""Nits that become the brightest that an ordinary screen shows."""
_KNEE = 0.7
"""Share of white up to which light is left as it is."""
_POINTS = 33
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""Chromaticities by ffmpeg's number (ITU-T H.273): BT.709, BT.2020, P3."""
_D65 = (0.3127, 0.3290)


@dataclass(frozen=True)
class Light:
    """What HDR means in a stream: its transfer and primaries as ffmpeg numbers them (ITU-T H.273)."""

    transfer: int
    primaries: int

    @property
    def said(self) -> str:
        """In words."""
        return f"tone-mapped from {_NAMES[self.transfer]}"


def light_of(transfer: int, primaries: int) -> Light | None:
    """The HDR of a stream, None where it is none."""
    return Light(transfer, primaries if primaries in _PRIMARIES else 9) if transfer in _NAMES else None


def mapped(table: str, rest: Chain) -> Chain:
    """Filters that apply the table file to pictures of any format, and then `rest`."""
    return (("format", {"pix_fmts": "gbrp10"}), ("lut3d", {"file": table, "interp": "tetrahedral"}), *rest)


@contextmanager
def table_file(light: Light | None) -> Iterator[str]:
    """The name of a file with the table, there while the block runs; empty where there is nothing to map."""
    if light is None:
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", prefix="sstrack-", suffix=".cube") as file:
        file.write(_text(light))
        file.flush()
        yield file.name


@cache
def _text(light: Light) -> str:
    rows = "\n".join(" ".join(f"{value:.5f}" for value in row) for row in table(light).reshape(-1, 3).tolist())
    return f"LUT_3D_SIZE {_POINTS}\n{rows}\n"


def table(light: Light) -> NDArray[np.float64]:
    """[blue, green, red, 3]: R'G'B' in 0..1 on an ordinary BT.709 screen for coded R'G'B' on an even grid."""
    steps = np.linspace(0, 1, _POINTS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    coded = np.stack([red, green, blue], axis=-1)
    shown = _pq_nits(coded) if light.transfer == _PQ else _hlg_nits(coded, light.primaries)
    linear = _rolled_off(shown / _WHITE) @ _between(light.primaries, 1).T
    return np.asarray(np.clip(linear, 0, 1) ** (1 / 2.4), np.float64)


def _rolled_off(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light relative to white, highlights bent down so that the peak becomes 1; hues stay, as all three are scaled."""
    top = light.max(axis=-1, keepdims=True)
    over = np.maximum(top - _KNEE, 0) / (1 - _KNEE)
    reach = (_PEAK / _WHITE - _KNEE) / (1 - _KNEE)
    bent = _KNEE + (1 - _KNEE) * np.minimum(over * (1 + over / reach**2) / (1 + over), 1)
    return light * np.where(top > _KNEE, bent / np.maximum(top, _KNEE), 1)


def _pq_nits(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084's electro-optical transfer."""
    power = coded ** (1 / 78.84375)
    return 10000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def _hlg_nits(coded: NDArray[np.float64], primaries: int) -> NDArray[np.float64]:
    """BT.2100's inverse transfer and system gamma of 1.2, for a screen of 1000 nits."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    luma = scene @ _to_xyz(primaries)[1]
    return 1000 * scene * np.maximum(luma, 1e-9)[..., None] ** 0.2


def _between(source: int, target: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve(_to_xyz(target), _to_xyz(source)), np.float64)


def _to_xyz(primaries: int) -> NDArray[np.float64]:
    """Linear RGB to XYZ with white at luminance 1."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in _PRIMARIES[primaries]]).T
    x, y = _D65
    return columns * np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y]))
