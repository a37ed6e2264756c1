"""The network: its published size and cost, candidate elimination, what it carries and what it must not depend on."""

import math

import numpy as np
import pytest
import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sstrack.configs.net import NetConfig
from sstrack.configs.recipe import Recipe
from sstrack.models.backbone import OneStreamBackbone, elimination_blocks, resize_table
from sstrack.models.elimination import eliminating_block, kept_count, restore
from sstrack.models.tracker_net import TrackerNet, kept_share
from sstrack.recipes import recipe
from sstrack.tracking.tracker import Tracker

TINY = {"net.depth": 4, "net.width": 24, "net.heads": 2, "net.head_width": 16, "net.keep_ratio": 0.7}


def on_meta(name: str) -> TrackerNet:
    """A network without memory behind it: shapes and counts only."""
    with torch.device("meta"):
        return TrackerNet(recipe(name).net).eval()


def giga_macs(net: TrackerNet, templates: int, eliminate: float) -> tuple[float, float]:
    """10⁹ multiply-adds of one search frame, without and with the attention's own products."""
    z, x = net.config.template_size, net.config.search_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.empty(1, templates, 3, z, z, device="meta"), torch.empty(1, 3, x, x, device="meta"), None, eliminate)
    counts = {str(op): flops / 2e9 for op, flops in counter.get_flop_counts()["Global"].items()}
    attention = sum(count for op, count in counts.items() if "attention" in op or "bmm" in op)
    return sum(counts.values()) - attention, sum(counts.values())


@pytest.mark.parametrize(("name", "millions"), [("b256", 92.5), ("b384", 92.8)])
def test_parameters_match_the_published_network(name: str, millions: float) -> None:
    count = sum(p.numel() for p in on_meta(name).parameters())
    # The published network keeps the pretrained 14x14 position table beside the two that it made of it.
    unused = (14 * 14 + 1) * 768
    assert (count + unused) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    ("name", "templates", "eliminate", "plain", "whole"),
    [
        ("b256", 1, 1.0, 21.6, 22.7),
        ("b256", 3, 1.0, 32.5, 35.1),
        ("b256", 3, 0.0, 40.1, 43.8),
        ("b384", 1, 1.0, 48.4, 54.2),
        ("b384", 3, 1.0, 73.0, 86.1),
        ("b384", 3, 0.0, 90.0, 108.8),
    ],
)
def test_cost_matches_the_published_network(
    name: str, templates: int, eliminate: float, plain: float, whole: float
) -> None:
    ours = giga_macs(on_meta(name), templates, eliminate)
    assert ours == pytest.approx((plain, whole), rel=0.01)


def test_the_published_token_counts_are_kept() -> None:
    counts: dict[int, list[int]] = {256: [], 576: []}
    for start, kept in counts.items():
        n = start
        for _ in range(3):
            kept.append(n := kept_count(n, 0.7))
    assert counts == {256: [180, 126, 89], 576: [404, 283, 199]}
    assert elimination_blocks(12) == (3, 6, 9) and elimination_blocks(4) == (1, 2, 3)


def test_the_schedule_ends_at_the_configured_share_and_meets_few_shapes() -> None:
    assert kept_share(0.7, 0.0) == 1.0 and kept_share(0.7, 1.0) == 0.7 and kept_share(0.7, 0.5) == 0.85
    assert len({kept_share(0.7, i / 1000) for i in range(1001)}) == 7
    assert {kept_share(1.0, i / 10) for i in range(11)} == {1.0}


def plain_elimination(
    block: Block, tokens: Tensor, probes: list[int], first: int, keep: float
) -> tuple[Tensor, Tensor]:
    """One eliminating block in float64, token by token, with the whole attention matrix."""
    attention = block.attn
    assert isinstance(attention, Attention)
    heads, width = attention.num_heads, tokens.shape[-1]
    per = width // heads
    rows: list[Tensor] = []
    chosen: list[Tensor] = []
    for sample in tokens:
        q, k, v = attention.qkv(block.norm1(sample)).split(width, dim=-1)
        mixed = torch.zeros_like(sample)
        attended = torch.zeros(len(sample) - first, dtype=sample.dtype)
        for head in range(heads):
            part = slice(head * per, (head + 1) * per)
            matrix = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(per), dim=-1)
            mixed[:, part] = matrix @ v[:, part]
            for probe in probes:
                attended += matrix[probe, first:] / (heads * len(probes))
        sample = sample + block.ls1(attention.proj(mixed))
        order = sorted(range(len(attended)), key=lambda i: -float(attended[i]))
        kept = sorted(order[: math.ceil(len(attended) * keep - 1e-9)])
        sample = torch.stack([*sample[:first], *(sample[first + i] for i in kept)])
        rows.append(sample + block.ls2(block.mlp(block.norm2(sample))))
        chosen.append(torch.tensor(kept))
    return torch.stack(rows), torch.stack(chosen)


@torch.no_grad()
def test_elimination_agrees_with_a_plain_one_in_float64() -> None:
    torch.manual_seed(0)
    block = Block(24, 3, qkv_bias=True, init_values=0.5).double().eval()
    tokens = torch.randn(2, 1 + 2 * 9 + 16, 24, dtype=torch.float64)
    ours, kept = eliminating_block(block, tokens, template_tokens=9, centre=4, first=19, keep=0.7)
    theirs, chosen = plain_elimination(block, tokens, [1 + 4, 1 + 9 + 4], 19, 0.7)
    assert torch.equal(kept, chosen) and kept.shape == (2, 12)
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


def test_restored_tokens_stand_where_they_were() -> None:
    kept = torch.tensor([[0, 2, 3], [1, 2, 4]])
    tokens = torch.arange(1.0, 7.0).view(2, 3, 1)
    assert restore(tokens, kept, 5)[..., 0].tolist() == [[1, 0, 2, 3, 0], [0, 4, 5, 0, 6]]


@pytest.fixture(scope="module")
def small() -> Recipe:
    return recipe("tiny_cpu", TINY)


def pictures(config: NetConfig, b: int = 2, t: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    z, x = config.template_size, config.search_size
    return torch.rand(b, t, 3, z, z, generator=generator) * 255, torch.rand(b, 3, x, x, generator=generator) * 255


@torch.no_grad()
def test_eliminated_tokens_are_zero_and_the_rest_is_a_whole_map(small: Recipe) -> None:
    torch.manual_seed(0)
    net = TrackerNet(small.net).eval()
    output = net(*pictures(small.net))
    cells = net.cells**2
    left = kept_count(kept_count(kept_count(cells, 0.7), 0.7), 0.7)
    assert output.search.shape == (2, cells, 24) and output.maps.score.shape == (2, 12, 12)
    assert ((output.search != 0).any(-1).sum(1) == left).all()
    whole = net(*pictures(small.net), eliminate=0.0)
    assert (whole.search != 0).any(-1).all()


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch_and_the_query_is_only_what_is_passed(small: Recipe) -> None:
    torch.manual_seed(0)
    net = TrackerNet(small.net).eval()
    templates, search = pictures(small.net)
    both, first = net(templates, search), net(templates[:1], search[:1])
    torch.testing.assert_close(both.maps.score[:1], first.maps.score)
    carried = net(templates, search, both.query)
    again = net(templates, search)
    assert torch.equal(again.query, both.query) and not torch.equal(carried.query, both.query)


@torch.no_grad()
def test_the_order_of_templates_does_not_matter(small: Recipe) -> None:
    torch.manual_seed(0)
    net = TrackerNet(small.net).eval()
    templates, search = pictures(small.net)
    torch.testing.assert_close(net(templates, search).query, net(templates.flip(1), search).query)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_norm_of_the_head_absorbs_the_reweightings_scale(norm: str) -> None:
    torch.manual_seed(0)
    net = TrackerNet(recipe("tiny_cpu", {**TINY, "net.head_norm": norm, "net.head_depth": 2}).net).train()
    features = torch.randn(2, 24, 12, 12) * 20
    torch.testing.assert_close(net.head(features).size, net.head(features * 30).size, atol=1e-4, rtol=1e-4)


def test_every_parameter_gets_a_gradient_with_elimination_and_a_batch_normed_head(small: Recipe) -> None:
    net = TrackerNet(recipe("tiny_cpu", {**TINY, "net.head_norm": "batch"}).net)
    output = net(*pictures(small.net))
    (output.maps.score.sum() + output.maps.size.sum() + output.maps.offset.sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_bf16_keeps_maps_in_float32_and_scores_below_one(small: Recipe) -> None:
    net = TrackerNet(small.net)
    with torch.autocast("cpu", torch.bfloat16):
        output = net(*pictures(small.net))
    assert output.maps.score.dtype == output.maps.size.dtype == output.maps.offset.dtype == torch.float32
    assert output.search.dtype == output.query.dtype == torch.float32
    assert torch.isfinite((1 - output.maps.score).log()).all()


@pytest.mark.parametrize("vit", ["vit_base_patch14_reg4_dinov2", "vit_base_patch32_clip_224"])
def test_a_vit_whose_extra_parts_would_be_lost_is_refused(vit: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=f"net.vit = '{vit}'"):
        OneStreamBackbone(recipe("tiny_cpu", {"net.vit": vit}).net)


def test_a_resized_table_keeps_a_ramp() -> None:
    ramp = torch.linspace(0, 1, 14)[None, :, None].expand(14, 14, 2)
    table = resize_table(ramp, 8).view(8, 8, 2)
    assert table[..., 0].diff(dim=1).min() > 0.08 and table[..., 0].diff(dim=0).abs().max() < 1e-5


def test_a_tracker_follows_with_elimination_and_a_carried_query(small: Recipe) -> None:
    torch.manual_seed(0)
    tracker = Tracker(TrackerNet(small.net), small.tracking)
    frames = np.random.default_rng(0).integers(0, 255, (4, 80, 100, 3), dtype=np.uint8)
    state = tracker.start(frames[0], (30.0, 20.0, 24.0, 20.0))
    for frame in frames[1:]:
        state, prediction = tracker.step(state, frame)
        assert all(math.isfinite(value) for value in prediction.box)
    assert state.query is not None and state.query.shape[-1] == small.net.width
