"""Types of flow parameters: what the forms of the Prefect UI accept, and what a run refuses."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from pipelines.errors import UsageError
from pipelines.place import PATTERN, WORDS, place
from sstrack.benchmarks.registry import benchmark_names
from sstrack.gates.config import GateConfig, fields_of_gate
from sstrack.recipes import recipe_names


def _absolute(uri: str) -> str:
    if "://" not in uri and not Path(uri).is_absolute():
        raise ValueError(f"{uri!r} is a relative path; a flow run starts in another folder, so give an absolute one")
    return uri


AbsoluteUri = Annotated[
    str,
    AfterValidator(_absolute),
    Field(json_schema_extra={"pattern": r"^(/|[a-z0-9]+://)"}, description="An absolute path or an s3:// prefix."),
]


def _absolute_source(source: str) -> str:
    _absolute(source.removeprefix("@"))
    return source


Source = Annotated[
    str,
    AfterValidator(_absolute_source),
    Field(
        min_length=1,
        json_schema_extra={"pattern": r"^@?(/|s3://|file://)"},
        description="An absolute path or pattern, an s3:// object or prefix, or a list (@/names.txt, .csv, .parquet).",
    ),
]
Layout = Annotated[
    Literal["got10k", "lasot", "trackingnet", "uav", "otb", "vot", "tnl2k", "folder", "coco"],
    Field(description="Read labelled sequences of this layout only; without it they are recognised."),
]


def _cluster(word: str) -> str:
    try:
        place(word)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return word


Cluster = Annotated[
    str,
    AfterValidator(_cluster),
    Field(json_schema_extra={"pattern": PATTERN}, description=f"Where Ray is: {WORDS}."),
]
Workers = Annotated[int, Field(ge=0, le=4096, description="Parallel workers; 0 stays in the flow's own process.")]
Mixture = Annotated[
    dict[AbsoluteUri, Annotated[float, Field(gt=0)]],
    Field(min_length=1, description='Datasets to mix, with weights: {"s3://bucket/a": 2, "s3://bucket/b": 1}.'),
]
TrainWorkers = (
    Annotated[int, Field(ge=0, le=4096, title="number", description="Workers; 0 stays in the flow's own process.")]
    | Annotated[
        str,
        Field(title="range", pattern=r"^\d+(-\d+)?$", description="2-8 takes what the cluster has, 2 at least."),
    ]
)
RecipeName = Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={"enum": list(recipe_names())})]
BenchmarkName = Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={"enum": list(benchmark_names())})]
Benchmarks = Annotated[
    dict[BenchmarkName, AbsoluteUri],
    Field(
        min_length=1, description='Benchmarks and their folders: {"otb100": "/data/otb100", "lasot": "s3://b/lasot"}.'
    ),
]
Overrides = Annotated[
    dict[str, str | int | float | bool], Field(description='Dotted field to value: {"optim.steps": 100}.')
]
ModelUri = Annotated[
    str,
    Field(
        min_length=1,
        description="models:/<name>@<alias>, models:/<name>/<version>, untrained:<recipe>, or an absolute folder.",
    ),
]


def _gate_schema() -> dict[str, Any]:
    """The form of GateConfig, with the bounds and the help that its fields carry."""
    kinds = {float: "number", int: "integer", str: "string"}
    properties: dict[str, Any] = {}
    for one in fields_of_gate():
        bounds = {to: one[name] for name, to in (("low", "minimum"), ("high", "maximum")) if name in one}
        kind = {"type": kinds[type(one["default"])], "default": one["default"]}
        properties[one["name"]] = {"title": one["name"], "description": one["help"], **kind, **bounds}
    return {"type": "object", "title": "GateConfig", "properties": properties, "additionalProperties": False}


Gate = Annotated[GateConfig, WithJsonSchema(_gate_schema()), Field(description="What promotion needs.")]
