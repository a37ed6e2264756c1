"""Attributes of sequences: 0/1 columns in the order that each benchmark's toolkit gives them."""

from pathlib import Path

from sstrack.benchmarks.text import flags

OTB_ATTRIBUTES = ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR")
UAV_ATTRIBUTES = ("SV", "ARC", "LR", "FM", "FOC", "POC", "OV", "BC", "IV", "VC", "CM", "SOB")
LASOT_ATTRIBUTES = ("IV", "POC", "DEF", "MB", "CM", "ROT", "BC", "VC", "SV", "FOC", "FM", "OV", "LR", "ARC")
TNL2K_ATTRIBUTES = (
    "CM", "ROT", "DEF", "FOC", "IV", "OV", "POC", "VC", "SV", "BC", "MB", "ARC", "LR", "FM", "AS", "TC", "MS",
)  # fmt: skip


def read_attributes(folder: Path, name: str, labels: tuple[str, ...]) -> frozenset[str]:
    """Labels set in `folder`/`name`.txt, none without such a file. ValueError for another number of columns."""
    path = folder / f"{name}.txt"
    if not path.is_file():
        return frozenset()
    values = flags(path.read_bytes(), str(path))
    if len(values) != len(labels):
        raise ValueError(f"{path} has {len(values)} values for the {len(labels)} attributes {', '.join(labels)}")
    return frozenset(label for label, value in zip(labels, values, strict=True) if value)
