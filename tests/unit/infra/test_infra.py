"""Manifests for Kubernetes and the image: no cluster and no builder here, so every field and path is checked."""

import copy
import re
import shlex
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import ray
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from cli.main import app
from pipelines.settings import Settings
from sstrack import recipes
from tests.conftest import REPO
from tests.kuberay import Image, Pod, PodTemplate, RayClusterSpec, checked

FOUND = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
FOLDER = REPO / "infra/kubernetes"
FILES = {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*.yaml")}
RAYJOB = "rayjob/rayjob.yaml"


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load(FILES[name].read_text())


def load_images() -> list[list[Image]]:
    return [checked(load(name)).images for name in ("kustomization.yaml", "rayjob/kustomization.yaml")]


def clusters() -> list[RayClusterSpec]:
    return [checked(load("raycluster.yaml")).spec, checked(load(RAYJOB)).spec.ray_cluster_spec]


def pods() -> list[Pod]:
    found = [checked(load(RAYJOB)).spec.submitter_pod_template.spec]
    found.append(checked(load("worker.yaml")).spec.template.spec)
    for cluster in clusters():
        found += [cluster.head_group_spec.template.spec, *(g.template.spec for g in cluster.worker_group_specs)]
    return found


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_field_is_known_and_of_its_type(name: str) -> None:
    checked(load(name))


MISTAKES: dict[str, Callable[[dict[str, Any]], object]] = {
    "misspelled": lambda job: job["spec"].update(activeDeadlineSecond=1),
    "text for a number": lambda job: job["spec"].update(backoffLimit="3"),
    "number for text": lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"].update(
        rayStartParams={"num-cpus": 0}
    ),
    "one level too high": lambda job: job["spec"].update(workerGroupSpecs=[]),
    "missing": lambda job: job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0].pop("template"),
    "unknown volume": lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].pop("volumes"),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_mistake_is_found(mistake: str) -> None:
    wrong = copy.deepcopy(load(RAYJOB))
    MISTAKES[mistake](wrong)
    with pytest.raises(ValidationError):
        checked(wrong)


def test_a_job_and_the_cluster_that_stays_have_the_same_pods() -> None:
    stays, once = clusters()
    assert stays.head_group_spec == once.head_group_spec
    assert [g.template for g in stays.worker_group_specs] == [g.template for g in once.worker_group_specs]
    assert stays.ray_version == once.ray_version == ray.__version__
    assert stays.auth_options.mode == once.auth_options.mode == "token"


def test_pods_have_no_rights_they_do_not_need_and_limits() -> None:
    for pod in pods():
        assert pod.security_context.run_as_non_root and pod.security_context.run_as_user == 1000
        assert pod.automount_service_account_token == any(c.name == "ray-head" for c in pod.containers)
        for container in pod.containers:
            assert not container.security_context.allow_privilege_escalation
            assert container.security_context.capabilities.drop == ["ALL"]
            assert set(container.resources.limits) >= {"cpu", "memory"}
            assert container.resources.requests["memory"] == container.resources.limits["memory"] or (
                container.name == "submitter"
            )


def test_workers_may_be_taken_away_and_the_head_may_not() -> None:
    for cluster in clusters():
        head, workers = cluster.head_group_spec, cluster.worker_group_specs[0]
        assert (
            head.ray_start_params["num-cpus"] == "0"
            and head.template.spec.affinity
            and not head.template.spec.tolerations
        )
        assert workers.min_replicas <= workers.replicas <= workers.max_replicas and workers.template.spec.tolerations
        shm = next(v.empty_dir for v in workers.template.spec.volumes if v.name == "shm")
        assert shm.medium == "Memory"
        memory = str(workers.template.spec.containers[0].resources.limits["memory"])
        assert int(shm.size_limit[:-2]) < int(memory[:-2])


def test_settings_are_ours_and_what_is_named_exists() -> None:
    data = load("settings.yaml")["data"]
    ours = {name.removeprefix("SSTRACK_").lower() for name in data if name.startswith("SSTRACK_")}
    assert ours <= set(Settings.model_fields)
    Settings(**{name: data[f"SSTRACK_{name.upper()}"] for name in ours})
    assert ours >= {"workers", "wait_s"}, "the node's processors are not the pod's, and GPUs have yet to come"
    for name in ("kustomization.yaml", "rayjob/kustomization.yaml"):
        assert all((FILES[name].parent / each).is_file() for each in load(name)["resources"])
    names = {"sstrack-settings", "sstrack-s3", "sstrack-mlflow"}
    used = {
        reference.name
        for pod in pods() for container in pod.containers for source in container.env_from
        for reference in (source.config_map_ref, source.secret_ref) if reference
    }  # fmt: skip
    assert used == names and load("service-account.yaml")["metadata"]["name"] == "sstrack"
    guide = (REPO / "docs/clusters.md").read_text()
    assert all(name in guide for name in names)


def test_the_job_is_a_command_of_ours() -> None:
    words = shlex.split(checked(load(RAYJOB)).spec.entrypoint)
    assert words[:2] == ["sstrack", "train"] and words[2] == load("settings.yaml")["data"]["SSTRACK_DATASET"]
    options = dict(zip(words[3:-1:2], words[4:-1:2], strict=True))
    assert options["--out"] == load("settings.yaml")["data"]["SSTRACK_RUNS"] and options["--cluster"] == "auto"
    recipes.recipe(options["--recipe"], {})
    known = CliRunner().invoke(app, ["train", "--help"]).output
    assert all(option in known for option in [*options, words[-1]])


def test_the_image_copies_what_exists_and_runs_as_the_pods_do() -> None:
    text = (REPO / "infra/docker/Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    always = {path for paths in copied for path in paths if "[" not in path}  # a pattern may match nothing
    assert always and all((REPO / path).exists() for path in always)
    packages = {"sstrack", "pipelines", "flows", "cli"}
    assert packages <= always
    allowed = (REPO / "infra/docker/Dockerfile.dockerignore").read_text().splitlines()
    assert allowed[1] == "*" and {f"!{path}" for path in always} <= set(allowed)
    code = text.index("COPY sstrack")
    assert text.index("-r pyproject.toml") < code < text.index("--no-deps")  # what we depend on, in a layer below
    assert {name.rstrip("*") for name in FOUND["include"]} == packages
    assert "--extra cluster" in text  # Ray's job server
    assert re.findall(r"^USER (\S+)$", text, re.M) == ["1000"] and "--uid 1000" in text
    assert "wget" in text  # KubeRay's own probes
    assert re.findall(r"^FROM (\S+)", text, re.M) == ["${BASE}"] * 2
    images = {container.image for pod in pods() for container in pod.containers}
    assert images == set(re.findall(r"-t (sstrack:\S+)", text))
    for named in load_images():
        assert {image.split(":")[0] for image in images} == {each.name for each in named}
    assert "requirements.lock" in text and "requirements.lock" in (REPO / "infra/mlflow/Dockerfile").read_text()


def test_the_network_policy_knows_every_pod_of_ours() -> None:
    chosen = checked(load("network-policy.yaml")).spec.pod_selector.match_labels
    templates = [checked(load(RAYJOB)).spec.submitter_pod_template, checked(load("worker.yaml")).spec.template]
    for cluster in clusters():
        templates += [cluster.head_group_spec.template, *(group.template for group in cluster.worker_group_specs)]
    assert all(chosen.items() <= labels_of(each).items() for each in templates)


def labels_of(template: PodTemplate) -> dict[str, str]:
    assert template.metadata is not None
    return template.metadata.labels


def test_drained_nodes_wait_for_what_loses_its_work() -> None:
    chosen = checked(load("disruption-budget.yaml")).spec.selector.match_expressions
    labels = [
        checked(load("worker.yaml")).spec.template.metadata.labels,
        *(labels_of(cluster.head_group_spec.template) for cluster in clusters()),
    ]
    for each in labels:
        assert all(each[expression.key] in expression.values for expression in chosen)
    for cluster in clusters():
        workers = labels_of(cluster.worker_group_specs[0].template)
        assert not all(workers[expression.key] in expression.values for expression in chosen)
