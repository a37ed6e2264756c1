"""A training that starts from the model that ships has to beat it: that model is the first champion, on real MLflow."""

import dataclasses
from pathlib import Path
from typing import Any

from pipelines.registry.decide import rival_of
from pipelines.registry.promotion import journal_of, state_of
from pipelines.registry.shipped import hold_shipped, start_of
from pipelines.registry.versions import fetch_package, versions
from pipelines.settings import settings
from pipelines.training.initial_net import initial_net
from pipelines.training.initial_weights import settle_weights
from sstrack.models.package import save_package
from sstrack.models.package_files import package_digest
from sstrack.pretrained import PRETRAINED, package_folder
from sstrack.recipes import recipe

REPORT: dict[str, Any] = {
    "benchmark": "folder@1",
    "rule": "got10k-like",
    "metrics": {"AO": 50.0},
    "per_sequence": {"one": 40.0, "two": 60.0},
    "annotation": "0123456789abcdef",
}


def test_the_model_that_ships_becomes_champion_where_nobody_is_and_only_there(mlflow_uri: str, tmp_path: Path) -> None:
    for _ in range(2):
        hold_shipped(mlflow_uri, "sstrack", [REPORT], "tests")
    (version,) = versions(mlflow_uri, "sstrack")
    assert state_of(mlflow_uri, "sstrack").champion == version.version == "1"
    assert version.package_digest == package_digest(package_folder())
    assert "AO 50.00" in version.tags["sstrack.score"]
    (entry,) = journal_of(mlflow_uri, "sstrack").entries()
    assert entry.action == "promote" and "ships with sstrack" in entry.reason
    # The challenger is compared with the very files that ship, so what was measured of those is found.
    tuned = save_package(tmp_path / "tuned", initial_net(recipe("tiny_cpu"))[0], recipe("tiny_cpu"), {"step": 1})
    assert rival_of(mlflow_uri, "sstrack", str(tuned)) == "models:/sstrack/1"
    assert settings().mlflow_uri == mlflow_uri
    assert package_digest(fetch_package("models:/sstrack/1")) == package_digest(package_folder())


def test_a_start_is_the_model_that_ships_only_where_network_and_weights_are_its_own(tmp_path: Path) -> None:
    own = settle_weights(recipe("fine_tune"), tmp_path)
    net, report = initial_net(own)
    assert report is not None and not report.missing and not report.resized
    assert start_of(str(save_package(tmp_path / "own", net, own, {"step": 0}))) == PRETRAINED
    scratch = recipe("tiny_cpu")
    other = str(save_package(tmp_path / "other", initial_net(scratch)[0], scratch, {"step": 0}))
    assert start_of(other) == other
    # The same weights in a network that sees other regions are another start.
    wider = dataclasses.replace(own, net=dataclasses.replace(own.net, search_size=own.net.search_size + 14))
    wide = str(save_package(tmp_path / "wide", initial_net(wider)[0], wider, {"step": 0}))
    assert start_of(wide) == wide
