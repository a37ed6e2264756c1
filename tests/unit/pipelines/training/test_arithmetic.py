"""Which arithmetic a training runs in, and how attention is computed there."""

import pytest
import torch

from pipelines.training import ranks
from pipelines.training.ranks import workable_precision
from sstrack.models.backbone import spell_out_attention
from sstrack.models.tracker_net import TrackerNet
from sstrack.recipes import recipe


@pytest.mark.parametrize(("has", "becomes"), [(True, "bf16"), (False, "float32")])
def test_a_cpu_without_bf16_trains_in_float32(has: bool, becomes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_cpu_has_bf16", lambda: has)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert workable_precision("bf16", cpu) == becomes and workable_precision("float32", cpu) == "float32"
    assert workable_precision("bf16", gpu) == "bf16"


def test_attention_spelled_out_is_the_same_attention() -> None:
    torch.manual_seed(0)
    built = recipe("tiny_cpu")
    net = TrackerNet(built.net).eval()
    templates, search = torch.rand(2, 2, 3, 48, 48) * 255, torch.rand(2, 3, 96, 96) * 255
    with torch.no_grad():
        fused = net(templates, search)
        spell_out_attention(net.backbone)
        spelled = net(templates, search)
    torch.testing.assert_close(fused.maps.score, spelled.maps.score, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fused.query, spelled.query, atol=1e-4, rtol=1e-4)
