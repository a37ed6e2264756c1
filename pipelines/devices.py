"""Where networks run."""

from pipelines.errors import UsageError


def pick_device(name: str) -> str:
    """`name` as torch takes it; `auto` is a GPU where there is one, else the CPU.

    Raises UsageError for a device that is not known or not here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (kind == "cpu" and number) or not (number == "" or number.isdecimal()):
        raise UsageError(f"device {name}: expected auto, cpu, cuda or cuda:<number>")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= there:
        raise UsageError(f"device {name}: torch sees {there} CUDA devices here; use --device cpu or auto")
    return name
