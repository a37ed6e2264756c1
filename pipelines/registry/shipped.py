"""The model that ships as a version of its own: the first champion where trainings start from it.

A training that starts from a model has to beat that model. So the first such training in a registry without a champion
finds the start there, as the champion to replace; one that is no better leaves it where it is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.registry.model_scores import Scored
from pipelines.registry.names import SCORE
from pipelines.registry.promotion import promote, state_of
from pipelines.registry.runs import TrainingRun, registry_client
from pipelines.registry.versions import register
from pipelines.training.packages import local_package
from sstrack.models.package_files import WEIGHTS, package_facts, package_recipe
from sstrack.pretrained import PRETRAINED, package_folder

_LONGEST = 5000
"""Characters of a version's description, which is the model's card."""
REASON_SHIPPED = "it ships with sstrack, the training at hand started from it, and nobody was champion"


def start_of(untrained: str) -> str:
    """What to measure as the start of a training whose package before the first step is `untrained`: `pretrained` where
    that is the model that ships, else the package itself."""
    return PRETRAINED if _is_shipped(local_package(untrained)) else untrained


def hold_shipped(uri: str, name: str, reports: Sequence[Mapping[str, Any]], actor: str) -> str | None:
    """Where nobody is champion, register the model that ships and make it champion.

    Args:
        uri: MLflow store.
        name: of the registered model.
        reports: evaluations of `pretrained`, one a benchmark, for its scores.
        actor: who asks, for the journal.

    Returns its version, None where somebody is champion already.
    """
    if state_of(uri, name).champion is not None:
        return None
    folder = package_folder()
    facts = package_facts(folder)
    run = TrainingRun.find_or_create(registry_client(uri), uri, str(facts["run_key"]))
    run.finish()
    names = ("benchmark", "rule", "metrics", "per_sequence", "annotation")
    scored = [Scored(**{one: each[one] for one in names}) for each in reports]
    version = register(
        uri,
        name,
        package=folder,
        run_id=run.run_id,
        run_key=str(facts["run_key"]),
        manifest=str(facts["manifest"]),
        scored=scored,
        tags={SCORE: "; ".join(each.headline for each in scored)},
    ).version
    registry_client(uri).update_model_version(name, version, description=(folder / "README.md").read_text()[:_LONGEST])
    promote(uri, name, version, expected=None, actor=actor, reason=REASON_SHIPPED, override=True)
    return version


def _is_shipped(package: Path) -> bool:
    """Whether a package from before the first step holds the network that ships, weight for weight."""
    folder = package_folder()
    net, shipped = package_recipe(package).net, package_recipe(folder).net
    # Not `sha256_of`, with which torch comes: a second run has nothing to do, and should not wait for that.
    if not net.weights_sha256 or net.weights_sha256 != hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest():
        return False
    shape = ("vit", "patch", "width", "depth", "heads", "template_size", "search_size", "mark_target")
    head = ("head_width", "head_depth", "head_norm", "keep_ratio", "template_factor", "search_factor")
    return all(getattr(net, name) == getattr(shipped, name) for name in (*shape, *head))
