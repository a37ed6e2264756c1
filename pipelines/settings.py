"""Where things are: the only reader of the `SSTRACK_*` environment."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import UsageError
from pipelines.place import place

_OF_URIS = "%?#"


def absolute(uri: str) -> str:
    """A local path made absolute (`~` expanded); a URI with a scheme, `s3://…` say, stays as it is.

    Raises UsageError for an empty one, which would silently be the working folder.
    """
    if not uri.strip():
        raise UsageError("an empty path was given; name a file or folder (`.` is the one you are in).")
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def own_store(work: Path) -> str:
    """The URI of the MLflow store in a work folder, a SQLite file.

    Raises UsageError for a folder whose name MLflow would not find again: to it `%`, `?` and `#` are parts of a URI, so
    that a training would end where its model cannot be registered, or beside a database in another folder.
    """
    if wrong := sorted(set(_OF_URIS) & set(str(work))):
        raise UsageError(
            f"the work folder {work} has {' and '.join(wrong)} in its name, which MLflow takes for parts of a URI; "
            "choose another folder (SSTRACK_WORK, --work), or give a server's SSTRACK_MLFLOW_URI."
        )
    return f"sqlite:///{work / 'mlflow.db'}"


class Settings(BaseSettings):
    """Embedded defaults for one machine; on a cluster each is set by its environment variable."""

    model_config = SettingsConfigDict(env_prefix="SSTRACK_", frozen=True, extra="ignore")

    work: Path = Path("~/.sstrack")
    """Folder under which every default below lies."""
    inbox: str = ""
    """Videos waiting for `ingest-videos`: a folder or an s3:// prefix. Default `<work>/inbox`."""
    dataset: str = ""
    """The dataset that ingest writes and training reads. Default `<work>/dataset`."""
    runs: str = ""
    """Checkpoints and model packages. Default `<work>/runs`."""
    results: str = ""
    """Raw benchmark results. Default `<work>/results`."""
    benchmark_root: str = ""
    """Labelled sequences that a retrained model is judged on, in the layout of benchmark `folder`. Default
    `<work>/benchmark`."""
    mlflow_uri: str = ""
    """MLflow tracking and registry store. Default a SQLite file under `<work>`."""
    model_name: str = "sstrack"
    """Name of the registered model."""
    journal: str = ""
    """Who is champion and who decided it: a folder or an s3:// prefix that all who promote share. Default beside
    MLflow's SQLite file, or `<work>/journal` where MLflow is a server."""
    ffmpeg: Literal["bundled", "system"] = "bundled"
    """Which ffmpeg binary decodes: the one of the imageio-ffmpeg wheel, or the one on the PATH."""
    cache: str = ""
    """Folder for shards of S3 datasets while they are trained on. Default `<work>/cache`."""
    cache_bytes: int = Field(default=64 << 30, ge=1 << 20)
    """Bytes that the folder of shards may hold; at least two windows of 16 shards keep a training from waiting."""
    loader_threads: int = Field(default=min(8, os.cpu_count() or 1), ge=1, le=256)
    """Threads that decode frames in each training process."""
    workers: int = Field(default=os.cpu_count() or 1, ge=1, le=4096)
    """Parallel work on this machine."""
    cluster: str = "local"
    """Where training runs: `local` (a private Ray on this machine), `auto` or `host:port` (a Ray cluster that is
    joined from one of its machines), `job` or `job:http://head:8265` (submitted as a Ray job)."""
    job_address: str = Field(default="http://127.0.0.1:8265", pattern=r"^https?://[^\s/]+(/\S*)?$")
    """Ray's job server, for `cluster=job`."""
    shared_folders: bool = False
    """Whether every machine of the cluster sees this machine's folders under the same paths (NFS, say). Without it a
    cluster of other machines is given s3:// places only."""
    worker_gpu: bool | None = None
    """Whether training workers on a cluster that is joined take a GPU each; by default, where it has any just then."""
    wait_s: int = Field(default=0, ge=0, le=7 * 86_400)
    """Seconds that a training waits for a joined cluster to grow to its workers, where it does not say itself."""
    notify_url: str = Field(default="", pattern=r"^(https?://[^\s]+)?$")
    """Where `sstrack up` has the Prefect server post a JSON object with `text` for each failed retrain, promotion and
    alarm (a chat's incoming webhook, say). Empty for nowhere."""
    token: SecretStr = SecretStr("")
    """What `sstrack serve` asks its callers for; empty: nothing, and then it listens on this machine alone."""
    start_seconds: float = Field(default=600.0, ge=1, le=86_400)
    """How long a submitted job may take to start."""

    @model_validator(mode="after")
    def _fill(self) -> "Settings":
        place(self.cluster)
        work = self.work.expanduser().absolute()
        filled = {
            "work": work,
            "inbox": absolute(self.inbox or str(work / "inbox")),
            "dataset": absolute(self.dataset or str(work / "dataset")),
            "runs": absolute(self.runs or str(work / "runs")),
            "results": absolute(self.results or str(work / "results")),
            "benchmark_root": absolute(self.benchmark_root or str(work / "benchmark")),
            "journal": absolute(self.journal) if self.journal else "",
            "cache": absolute(self.cache or str(work / "cache")),
            "mlflow_uri": self.mlflow_uri or own_store(work),
        }
        for name, value in filled.items():
            object.__setattr__(self, name, value)
        return self


def settings() -> Settings:
    """Read the environment now. Not cached, so that a flow run sees the environment of its own process.

    Raises UsageError that names each variable that is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"SSTRACK_{'.'.join(map(str, at['loc'])).upper()}={at['input']}: {at['msg']}" for at in error.errors()
        )
        raise UsageError(f"environment: {problems}") from error
