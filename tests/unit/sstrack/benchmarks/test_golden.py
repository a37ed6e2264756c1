"""Our figures against those of the official and peer toolkits, on real results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.evaluation.score import score_files
from sstrack.benchmarks.metrics.vot_anchor import score_anchor
from sstrack.benchmarks.registry import benchmark
from sstrack.benchmarks.result_files import read_results
from sstrack.benchmarks.scores import Results
from sstrack.benchmarks.scoring import score_results

Unpack = Callable[[str], Path]

POINTS = 1e-3
SHARES = 1e-4
PEERS: dict[str, str] = {
    "official": "official_matlab_in_octave",
    "pytracking": "pytracking",
    "ostrack": "ostrack",
    "pysot": "pysot-toolkit",
    "got10k": "got10k-toolkit",
}
NAMES = {"mean_seq_IoU": "mIoU", "NP_auc": "NP_AUC", "AUC_without_dropping": "AUC"}


@pytest.mark.parametrize("rule", ["pytracking", "ostrack", "pysot", "got10k"])
@pytest.mark.parametrize(("tracker", "folder"), [("ATOM", "ATOM"), ("SiamBAN", "SiamBAN"), ("UDT", "UDT_OTB100")])
def test_otb100(unpacked: Unpack, golden: dict[str, Any], tracker: str, folder: str, rule: str):
    root = unpacked("otb100")
    report = score_files("otb100", root / "gt" / "OTB2015.json", root / "results" / folder, rule)
    assert report.sequences == 100
    assert_close(report.metrics, golden["OTB100"][tracker][PEERS[rule]])


@pytest.mark.parametrize("rule", PEERS)
def test_lasot(unpacked: Unpack, golden: dict[str, Any], rule: str):
    root = unpacked("lasot")
    report = score_files("lasot", root / "gt", root / "results" / "ATOM", rule)
    assert report.sequences == 280
    assert_close(report.metrics, golden["LaSOT"]["ATOM"][PEERS[rule]])


@pytest.mark.parametrize(
    ("rule", "peer", "names"),
    [
        ("pysot", "pysot-toolkit", {"lost": "failures"}),
        ("python", "vot-toolkit-py", {"R_weighted_failures": "R"}),
    ],
)
@pytest.mark.parametrize("tracker", ["DaSiamRPN", "NanoTrackV3"])
def test_vot2018(unpacked: Unpack, golden: dict[str, Any], tracker: str, rule: str, peer: str, names: dict[str, str]):
    root = unpacked("vot2018")
    report = score_files("vot2018", root / "gt" / "VOT2018.json", root / "results" / tracker, rule)
    for name, value in golden["VOT2018"][tracker][peer].items():
        key: str = names[name] if name in names else str(name)
        assert report.metrics[key] == pytest.approx(value, abs=1e-5 if rule == "pysot" else SHARES), name


def test_vot2020(unpacked: Unpack, golden: dict[str, Any]):
    root = unpacked("vot2020_workspace")
    wanted = golden["VOT2020_workspace"]
    report = score_files("vot2020", root, root / "results" / "MIL")
    assert report.metrics["EAO"] == pytest.approx(wanted["EAO_115_755"], abs=SHARES)
    assert [report.metrics[name] for name in ("A", "R")] == pytest.approx(wanted["A_R"][:2], abs=SHARES)
    truths = benchmark("vot2020").truths(root)
    runs = read_results(root / "results" / "MIL", truths, "vot_anchor").runs
    assert score_anchor(truths, runs, (115, 755)).curve == pytest.approx(np.array(wanted["curve"]), abs=SHARES)
    assert score_anchor(truths, runs, (10, 60)).eao == pytest.approx(wanted["EAO_10_60"], abs=SHARES)


@pytest.mark.parametrize(
    ("name", "files"), [("dummy", "dummy_GT dummy_subm"), ("OTB100_SiamBAN", "otb_GT otb_SiamBAN")]
)
def test_trackingnet(metrics: Path, golden: dict[str, Any], name: str, files: str):
    gt, results = (metrics / "trackingnet" / f"{file}.zip" for file in files.split())
    report = score_files("trackingnet", gt, results)
    assert {key: report.metrics[key] for key in golden["TrackingNet"][name]} == pytest.approx(
        golden["TrackingNet"][name], abs=POINTS
    )


def test_trackingnet_counts_what_the_devkit_repairs_in_silence(metrics: Path):
    folder = metrics / "trackingnet"
    counted = score_files("trackingnet", folder / "dummy_GT.zip", folder / "dummy_subm.zip").counted
    assert counted["sequences without a result, scored 0"] == 1
    assert counted["results shorter, rest missed"] == 1


def test_got10k(unpacked: Unpack, golden: dict[str, Any]):
    root = unpacked("got10k_val")
    report = score_files("got10k", root, root / "results" / "GOT-10k" / "SiamBAN")
    wanted = golden["GOT10k_val"]["SiamBAN"]
    for name, key in (("AO", "AO"), ("SR0.5", "SR50"), ("SR0.75", "SR75")):
        assert report.metrics[key] == pytest.approx(100 * wanted[name], abs=POINTS)
    assert report.metrics["fps"] == pytest.approx(50)
    assert report.counted["frames of truth that are invalid under this rule"] == 12 * 5


@pytest.mark.parametrize(
    ("rule", "column"), [("official", "official"), ("pytracking",) * 2, ("ostrack", "ostrack_family")]
)
def test_a_perfect_tracker_on_tnl2k(unpacked: Unpack, golden: dict[str, Any], rule: str, column: str):
    metrics = perfect("tnl2k", unpacked("tnl2k_gt") / "gt", rule)
    wanted = golden["TNL2K_perfect_tracker"][column]
    assert [metrics[name] for name in ("AUC", "P20", "NP20")] == pytest.approx(wanted, abs=0.0051)


def test_a_perfect_tracker_on_lasot(unpacked: Unpack, golden: dict[str, Any]):
    metrics = perfect("lasot", unpacked("lasot") / "gt", "official")
    wanted = golden["LaSOT_perfect_tracker"]["official"]
    assert {name: metrics[name] for name in wanted} == pytest.approx(wanted, abs=0.0051)


def perfect(name: str, gt: Path, rule: str) -> dict[str, float]:
    entry = benchmark(name)
    truths = entry.truths(gt)
    results = Results({truth.name: [truth.boxes] for truth in truths})
    return dict(score_results(entry, truths, results, entry.rule(rule)).metrics)


def assert_close(metrics: dict[str, float], wanted: dict[str, float]) -> None:
    ours = {name: metrics[NAMES.get(name, name)] for name in wanted}
    assert ours == pytest.approx(wanted, abs=POINTS)
