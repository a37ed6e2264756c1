"""The step that is trained: what its loss depends on, how it computes, and that a GPU's host never waits inside it."""

import pytest
import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import sstrack.crops
from pipelines.training.optimizer import build_optimizer, learning_rate, set_learning_rate
from sstrack.configs.optim import OptimConfig
from sstrack.configs.recipe import Recipe
from sstrack.models.tracker_net import TrackerNet
from sstrack.objectives.registry import build_objective
from sstrack.objectives.step import TrainStep, compile_network
from sstrack.recipes import recipe
from tests.moving_squares import squares

SMALL = {
    "net.depth": 3,
    "net.width": 24,
    "net.heads": 2,
    "net.head_width": 16,
    "net.template_size": 16,
    "net.search_size": 48,
    "net.keep_ratio": 0.7,
    "net.drop_path": 0.3,
}


@pytest.fixture(scope="module")
def small() -> Recipe:
    return recipe("tiny_cpu", SMALL)


def train_step(config: Recipe, precision: str = "float32") -> TrainStep:
    torch.manual_seed(0)
    objective = build_objective(config.net, config.objective)
    return TrainStep(TrackerNet(config.net).train(), objective, "bf16" if precision == "bf16" else "float32")


def run(step: TrainStep, seed: int = 3, progress: float = 0.9) -> Tensor:
    return step(squares(), Generator().manual_seed(seed), progress)[0]


def test_a_groups_loss_follows_from_its_seed_alone_stochastic_depth_included(small: Recipe) -> None:
    step = train_step(small)
    first = run(step)
    torch.rand(7)
    other = run(step, seed=4)
    assert torch.equal(run(step), first) and not torch.equal(other, first)


def test_bf16_gives_nearly_the_loss_of_float32_and_finite_gradients(small: Recipe) -> None:
    plain = recipe("tiny_cpu", {**SMALL, "net.keep_ratio": 1.0, "objective.known_templates_until": 1.0})
    half = train_step(plain, "bf16")
    loss = run(half, progress=0.2)
    assert loss.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(run(train_step(plain), progress=0.2).detach()), rel=0.02)
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in half.parameters())


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.soak)])
def test_the_compiled_network_trains_the_same(backend: str) -> None:
    # Without stochastic depth, whose draws a compiler may order anew.
    config = recipe("tiny_cpu", {**SMALL, "net.drop_path": 0.0, "net.depth": 2, "objective.views": 1})
    plain, compiled = train_step(config), train_step(config)
    compile_network(compiled.net, backend)
    losses = [run(step, progress=0.2) for step in (plain, compiled)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-4)
    names = [name for name, _ in plain.named_parameters()]
    assert names == [name for name, _ in compiled.named_parameters()]
    for name in names:
        ours, theirs = compiled.get_parameter(name).grad, plain.get_parameter(name).grad
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3 * float(theirs.abs().max()) + 1e-6)


class ReadBacks(TorchDispatchMode):
    """Counts what would make the host of a GPU wait: numbers read from tensors, shapes that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = str(func)
        if any(word in name for word in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal.def")):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["decoupled", "tads", "single_frame", "cycle"])
def test_a_step_never_waits_for_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a CPU crops are cut by taps, which read where; a GPU uses the matrices.
    def as_on_a_gpu(frames: Tensor, regions: Tensor, height: int, width: int) -> Tensor:
        return sstrack.crops._crop_by_matrices(frames, regions, height, width, torch.float32)

    monkeypatch.setattr(sstrack.crops, "_crop_by_taps", as_on_a_gpu)
    step = train_step(recipe("tiny_cpu", {**SMALL, "net.drop_path": 0.0, "objective.name": name}))
    with ReadBacks() as reads:
        loss, _ = step(squares(), Generator().manual_seed(3), 0.5)
        loss.backward()
    assert reads.seen == []


def test_the_backbone_may_learn_slower_and_vectors_do_not_decay(small: Recipe) -> None:
    optim = OptimConfig(backbone_lr=0.1, weight_decay=0.01, warmup=0, lr=1e-3)
    net = TrackerNet(small.net)
    optimizer = build_optimizer(net, optim, 64)
    set_learning_rate(optimizer, 0, optim)
    named = dict(net.named_parameters())
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name, p in named.items()
        if any(p is q for q in group["params"])
    }
    assert found.keys() == named.keys()
    assert found["backbone.blocks.0.attn.qkv.weight"] == (pytest.approx(1e-4), 0.01)
    assert found["head.score.0.weight"] == (pytest.approx(1e-3), 0.01)
    assert found["backbone.search_position"][1] == found["head.score.1.weight"][1] == 0.0


def test_learning_rates_follow_their_schedule() -> None:
    step = OptimConfig(steps=100, lr=1.0, warmup=0, schedule="step")
    assert [learning_rate(i, step) for i in (0, 79, 80, 99)] == pytest.approx([1.0, 1.0, 0.1, 0.1])
    cosine = OptimConfig(steps=100, lr=1.0, warmup=10)
    rates = [learning_rate(i, cosine) for i in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01) and max(rates) == rates[9] and rates[-1] < 0.02


def test_each_block_may_learn_slower_than_the_one_above_and_rates_follow_the_batch(small: Recipe) -> None:
    optim = OptimConfig(backbone_lr=0.1, layer_decay=0.5, lr_scaling="linear", lr_batch=64, warmup=0, lr=1e-3)
    net = TrackerNet(small.net)
    optimizer = build_optimizer(net, optim, 128)
    assert set_learning_rate(optimizer, 0, optim) == pytest.approx(2e-3)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    named = {name: rates[id(p)] / 2e-4 for name, p in net.named_parameters()}
    depth = small.net.depth
    assert named["backbone.norm.weight"] == pytest.approx(1)
    assert named[f"backbone.blocks.{depth - 1}.mlp.fc1.weight"] == pytest.approx(0.5)
    assert named["backbone.blocks.0.mlp.fc1.weight"] == pytest.approx(0.5**depth)
    assert named["backbone.query"] == named["backbone.search_position"] == pytest.approx(0.5 ** (depth + 1))
    assert named["head.score.0.weight"] == pytest.approx(10)
