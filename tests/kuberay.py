"""The fields of KubeRay's v1 resources and of pods that our manifests use, with their types.

Written from the documented fields, and only those we use: a field that is missing here is refused, so one that is
misspelled is found. Kubernetes itself drops unknown fields of a custom resource without a word.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
Quantity = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Part(BaseModel):
    """Camel-case names, nothing unknown, no text taken for a number or the other way round."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Part):
    name: Name | None = None
    namespace: Name | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Reference(Part):
    name: Name
    optional: bool = False


class EnvironmentFrom(Part):
    config_map_ref: Reference | None = None
    secret_ref: Reference | None = None
    prefix: str = ""

    @model_validator(mode="after")
    def _one(self) -> "EnvironmentFrom":
        if (self.config_map_ref is None) == (self.secret_ref is None):
            raise ValueError("either configMapRef or secretRef")
        return self


class SecretKey(Part):
    name: Name
    key: str


class Source(Part):
    secret_key_ref: SecretKey


class Variable(Part):
    name: str
    value: str | None = None
    value_from: Source | None = None

    @model_validator(mode="after")
    def _one(self) -> "Variable":
        if (self.value is None) == (self.value_from is None):
            raise ValueError("either value or valueFrom")
        return self


class Resources(Part):
    requests: dict[str, Quantity | Count]
    limits: dict[str, Quantity | Count]


class Capabilities(Part):
    drop: list[str] = []
    add: list[str] = []


class ContainerSecurity(Part):
    allow_privilege_escalation: bool
    capabilities: Capabilities
    read_only_root_filesystem: bool = False


class Seccomp(Part):
    type: Literal["RuntimeDefault", "Localhost", "Unconfined"]


class PodSecurity(Part):
    run_as_non_root: bool
    run_as_user: int
    run_as_group: int | None = None
    fs_group: int | None = None
    seccomp_profile: Seccomp


class ContainerPort(Part):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,15}$")]
    container_port: Port


class HttpGet(Part):
    path: Annotated[str, StringConstraints(pattern=r"^/")]
    port: Port


class Probe(Part):
    http_get: HttpGet
    initial_delay_seconds: Count = 0
    period_seconds: Count = 10
    timeout_seconds: Count = 1
    failure_threshold: Count = 3


class Mount(Part):
    name: Name
    mount_path: Annotated[str, StringConstraints(pattern=r"^/")]
    read_only: bool = False


class Container(Part):
    name: Name
    image: str
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    command: list[str] = []
    args: list[str] = []
    env_from: list[EnvironmentFrom] = []
    env: list[Variable] = []
    ports: list[ContainerPort] = []
    resources: Resources
    liveness_probe: Probe | None = None
    security_context: ContainerSecurity
    volume_mounts: list[Mount] = []


class EmptyDir(Part):
    medium: Literal["", "Memory"] = ""
    size_limit: Quantity


class Volume(Part):
    name: Name
    empty_dir: EmptyDir


class Toleration(Part):
    key: str
    operator: Literal["Exists", "Equal"]
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Expression(Part):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = []


class NodeTerm(Part):
    match_expressions: list[Expression]


class NodeSelector(Part):
    node_selector_terms: list[NodeTerm]


class NodeAffinity(Part):
    required: NodeSelector = Field(alias="requiredDuringSchedulingIgnoredDuringExecution")


class Affinity(Part):
    node_affinity: NodeAffinity


class Pod(Part):
    service_account_name: Name
    automount_service_account_token: bool
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    termination_grace_period_seconds: Count = 30
    affinity: Affinity | None = None
    tolerations: list[Toleration] = []
    security_context: PodSecurity
    containers: list[Container]
    volumes: list[Volume] = []

    @model_validator(mode="after")
    def _volumes_exist(self) -> "Pod":
        volumes = {each.name for each in self.volumes}
        for container in self.containers:
            missing = {mount.name for mount in container.volume_mounts} - volumes
            if missing:
                raise ValueError(f"{container.name} mounts {missing}, which is no volume")
        return self


class PodTemplate(Part):
    metadata: Metadata | None = None
    spec: Pod


class JobMetadata(Metadata):
    generate_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+-$")]


class JobSpec(Part):
    backoff_limit: Count
    active_deadline_seconds: Count
    ttl_seconds_after_finished: Count
    template: PodTemplate


class Job(Part):
    api_version: Literal["batch/v1"]
    kind: Literal["Job"]
    metadata: JobMetadata
    spec: JobSpec


class HeadGroup(Part):
    ray_start_params: dict[str, str]
    template: PodTemplate


class WorkerGroup(Part):
    group_name: Name
    replicas: Count
    min_replicas: Count
    max_replicas: Count
    ray_start_params: dict[str, str]
    template: PodTemplate


class AuthOptions(Part):
    mode: Literal["disabled", "token"]


class AutoscalerOptions(Part):
    idle_timeout_seconds: Count
    resources: Resources


class RayClusterSpec(Part):
    ray_version: str
    auth_options: AuthOptions
    enable_in_tree_autoscaling: bool = False
    autoscaler_options: AutoscalerOptions | None = None
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup]


class RayCluster(Part):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: RayClusterSpec


class RayJobSpec(Part):
    entrypoint: str
    submission_mode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]
    active_deadline_seconds: Count
    backoff_limit: Count
    shutdown_after_job_finishes: bool
    ttl_seconds_after_finished: Count
    submitter_pod_template: PodTemplate
    ray_cluster_spec: RayClusterSpec


class RayJob(Part):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: RayJobSpec


class ConfigMap(Part):
    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: Metadata
    data: dict[str, str]


class ServiceAccount(Part):
    api_version: Literal["v1"]
    kind: Literal["ServiceAccount"]
    metadata: Metadata
    automount_service_account_token: bool


class Image(Part):
    name: Name
    new_name: str


class Kustomization(Part):
    api_version: Literal["kustomize.config.k8s.io/v1beta1"]
    kind: Literal["Kustomization"]
    namespace: Name
    resources: list[str]
    images: list[Image]


class Selector(Part):
    match_labels: dict[str, str] = {}
    match_expressions: list[Expression] = []


class Strategy(Part):
    type: Literal["Recreate", "RollingUpdate"]


class DeploymentSpec(Part):
    replicas: Count
    strategy: Strategy
    selector: Selector
    template: PodTemplate

    @model_validator(mode="after")
    def _selects_its_own(self) -> "DeploymentSpec":
        labels = self.template.metadata.labels if self.template.metadata else {}
        if not self.selector.match_labels.items() <= labels.items():
            raise ValueError("the selector does not find the template's pods")
        return self


class Deployment(Part):
    api_version: Literal["apps/v1"]
    kind: Literal["Deployment"]
    metadata: Metadata
    spec: DeploymentSpec


class Peer(Part):
    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None


class PeerPort(Part):
    protocol: Literal["TCP", "UDP"]
    port: Port


class Ingress(Part):
    sources: list[Peer] = Field(alias="from")
    ports: list[PeerPort] = []


class NetworkPolicySpec(Part):
    pod_selector: Selector
    policy_types: list[Literal["Ingress", "Egress"]]
    ingress: list[Ingress]


class NetworkPolicy(Part):
    api_version: Literal["networking.k8s.io/v1"]
    kind: Literal["NetworkPolicy"]
    metadata: Metadata
    spec: NetworkPolicySpec


class DisruptionSpec(Part):
    max_unavailable: Count
    selector: Selector


class PodDisruptionBudget(Part):
    api_version: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    metadata: Metadata
    spec: DisruptionSpec


KINDS: dict[str, type[Part]] = {
    kind.__name__: kind
    for kind in (
        *(RayCluster, RayJob, ConfigMap, ServiceAccount, Kustomization),
        *(Deployment, Job, NetworkPolicy, PodDisruptionBudget),
    )
}


def checked(manifest: dict[str, Any]) -> Any:
    """The manifest as its kind's model. Raises pydantic's ValidationError that names each wrong field."""
    return KINDS[manifest["kind"]].model_validate(manifest)
