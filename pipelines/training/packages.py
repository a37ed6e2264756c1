"""Model packages in run folders, which may lie on s3://."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import storage
from pipelines.settings import settings
from pipelines.training.metrics import read_metrics

if TYPE_CHECKING:
    from pipelines.training.spec import TrainingSpec
    from sstrack.configs.recipe import Recipe
    from sstrack.models.tracker_net import TrackerNet


def keep_package(spec: "TrainingSpec", name: str, net: "TrackerNet", step: int) -> None:
    """Leave a network, of the weights after `step` steps, in the run's folder, with where it comes from."""
    facts = {
        "run_key": spec.run_key,
        "manifest": spec.manifests,
        "data": spec.identity.data_digest,
        "datasets": [{"manifest": each.manifest, "weight": each.weight} for each in spec.datasets],
        "step": step,
    }
    if step > 0:
        facts |= template_facts(read_metrics(spec.folder))
    put_package(storage.join(spec.folder, name), net, spec.recipe, facts)


def template_facts(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What a training's metrics say about the use of its template: `template_lead` on real frames at its end where it
    was measured, and a `warning` where that says that the network does not look."""
    measured = [row["real_lead"] for row in rows if "real_lead" in row]
    if not measured:
        return {}
    from sstrack.objectives.template_use import unused  # torch: whoever reads a finished run needs none

    warning = unused(measured[-1])
    return {"template_lead": measured[-1], **({"warning": warning} if warning else {})}


def put_package(uri: str, net: "TrackerNet", recipe: "Recipe", facts: Mapping[str, object]) -> None:
    """Write a package to a local folder or a store, there with the file last that makes it one.

    Raises SSTrackError where it cannot be written.
    """
    from sstrack.models.package import save_package
    from sstrack.models.package_files import CONFIG, WEIGHTS

    if storage.is_local(uri):
        with storage.explained(uri):
            save_package(storage.local_path(uri), net, recipe, facts)
        return
    with tempfile.TemporaryDirectory(prefix="sstrack-package-") as scratch, storage.explained(scratch):
        folder = save_package(Path(scratch) / "package", net, recipe, facts)
        for name in (WEIGHTS, CONFIG):
            storage.write_atomic(storage.join(uri, name), (folder / name).read_bytes())


def local_package(uri: str) -> Path:
    """A package as a folder on this machine; one in a store is fetched into `<work>/models`, named by its digest.

    Raises SSTrackError where it is missing or cannot be read.
    """
    from sstrack.models.package_files import CONFIG, WEIGHTS, package_digest

    if storage.is_local(uri):
        return storage.local_path(uri)
    models = settings().work / "models"
    with storage.draft(models / "package") as copy, storage.explained(models):
        for name in (WEIGHTS, CONFIG):
            storage.download(storage.join(uri, name), copy / name)
        folder = models / package_digest(copy)
        storage.name_folder(copy, folder, "keep")
    return folder
