"""The template of a pool whose flow runs are pods: Prefect fills it in, Kubernetes knows every field."""

import json
from typing import Any

import pytest
import yaml
from prefect.utilities.schema_tools import ValidationError, validate
from prefect.utilities.templating import apply_values, find_placeholders

from tests.conftest import REPO
from tests.kuberay import Pod, checked

FOLDER = REPO / "infra/kubernetes"
TEMPLATE: dict[str, Any] = json.loads((FOLDER / "pool.json").read_text())
VARIABLES: dict[str, Any] = TEMPLATE["variables"]["properties"]
GIVEN = {"name": "amber-otter", "command": "prefect flow-run execute", "labels": {"a": "b"}}
"""What Prefect's worker adds to a run's own values."""


def filled(**values: Any) -> dict[str, Any]:
    """As Prefect's Kubernetes worker does, which turns command and variables into lists at the end."""
    given = {name: each["default"] for name, each in VARIABLES.items() if "default" in each} | GIVEN | values
    validate(given, TEMPLATE["variables"], raise_on_error=True)
    manifest: Any = apply_values(TEMPLATE["job_configuration"], given)["job_manifest"]
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": name, "value": value} for name, value in container["env"].items()]
    container["args"] = container["args"].split()
    return manifest


def test_a_flow_runs_pod_is_whole_and_is_what_the_worker_of_processes_is() -> None:
    template = checked(filled(env={"SSTRACK_WORKERS": "2"})).spec.template
    policy = checked(yaml.safe_load((FOLDER / "network-policy.yaml").read_text())).spec
    assert policy.pod_selector.match_labels.items() <= template.metadata.labels.items(), "it cannot reach the Ray head"
    pod: Pod = template.spec
    worker: Pod = checked(yaml.safe_load((FOLDER / "worker.yaml").read_text())).spec.template.spec
    assert (pod.security_context, pod.volumes) == (worker.security_context, worker.volumes)
    (mine,), (others,) = pod.containers, worker.containers
    assert (mine.image, mine.security_context) == (others.image, others.security_context)
    assert mine.volume_mounts == others.volume_mounts
    assert mine.args == ["prefect", "flow-run", "execute"]
    assert all(each in mine.env_from for each in others.env_from)
    assert mine.resources.limits["nvidia.com/gpu"] == 0


@pytest.mark.parametrize("wrong", [{"gpus": -1}, {"memory": "lots"}, {"cpu": 2}, {"deadline_seconds": 1}])
def test_a_value_out_of_bounds_is_refused_before_a_pod_starts(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        filled(**wrong)


def test_every_variable_is_used_and_every_place_has_one() -> None:
    used = {each.name for each in find_placeholders(TEMPLATE["job_configuration"])}
    assert used == set(VARIABLES)
    assert all(each.get("title") for each in VARIABLES.values())
