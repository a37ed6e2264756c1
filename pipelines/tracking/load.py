"""From the name of a model and a person's options to a tracker that is ready: for the command and for the server."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.devices import pick_device
from pipelines.errors import SSTrackError
from pipelines.registry.models import resolve_model
from pipelines.threads import pick_threads, use_threads
from pipelines.tracking.options import tracking_config

if TYPE_CHECKING:
    from sstrack.tracking.tracker import Tracker


def load_tracker(
    model: str,
    options: Mapping[str, Any] | None = None,
    *,
    device: str = "auto",
    fast: bool = False,
    threads: int | None = None,
) -> "Tracker":
    """The tracker of a model, and torch's threads in this process set for it.

    Args:
        model: a model URI, see `resolve_model`.
        options: fields of `TrackingConfig` to change.
        device: see `pick_device`.
        fast: compile the network, and replay it as CUDA graphs on a GPU: a slow start, then more frames per second.
        threads: of torch on a CPU; None chooses, see `pick_threads`.

    Raises SSTrackError: no such model, no such device, wrong options.
    """
    from sstrack.models.package import load_package
    from sstrack.tracking.tracker import Tracker

    where = pick_device(device)
    package = resolve_model(model)
    try:
        net, recipe = load_package(package, where)
        use_threads(pick_threads(recipe, threads))
        config = tracking_config(recipe.tracking_as_trained, options or {})
        return Tracker(net, config, compiled=fast, graphed=fast and where != "cpu")
    except ValueError as error:
        raise SSTrackError(str(error)) from error
