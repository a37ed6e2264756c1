"""The fields of the Compose specification that our file uses, with their types; one that is not here is refused."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Text = str | int | bool
Duration = Annotated[str, StringConstraints(pattern=r"^\d+(ms|s|m|h)$")]
Size = Annotated[str, StringConstraints(pattern=r"^\d+(kb|mb|gb)$")]
Published = Annotated[str, StringConstraints(pattern=r"^127\.0\.0\.1:\d+:\d+$")]
Mount = Annotated[str, StringConstraints(pattern=r"^(\./)?[\w./-]+:/[\w./-]+(:ro)?$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Health(Part):
    test: list[str]
    interval: Duration
    retries: int
    start_period: Duration | None = None


class Dependency(Part):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class ConfigUse(Part):
    source: str
    target: Annotated[str, StringConstraints(pattern=r"^/")]


class Service(Part):
    image: Annotated[str, StringConstraints(pattern=r"^[\w./${}:-]+:[\w.${}:-]+$")]
    restart: Literal["no", "unless-stopped", "on-failure"] = "no"
    init: bool = False
    command: list[str] = []
    environment: dict[str, Text] = {}
    volumes: list[Mount] = []
    configs: list[ConfigUse] = []
    ports: list[Published] = []
    secrets: list[str] = []
    shm_size: Size | None = None
    stop_grace_period: Duration | None = None
    depends_on: dict[str, Dependency] | list[str] = {}
    healthcheck: Health | None = None


class ConfigFile(Part):
    file: str | None = None
    content: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "ConfigFile":
        if (self.file is None) == (self.content is None):
            raise ValueError("either file or content")
        return self


class Secret(Part):
    environment: str


class Compose(BaseModel):
    """A whole file; keys that begin with `x-` are the file's own."""

    model_config = ConfigDict(extra="allow")

    name: str
    services: dict[str, Service] = Field(min_length=1)
    configs: dict[str, ConfigFile] = {}
    secrets: dict[str, Secret] = {}
    volumes: dict[str, None] = {}

    @model_validator(mode="after")
    def _whole(self) -> "Compose":
        unknown = [key for key in self.model_extra or {} if not key.startswith("x-")]
        if unknown:
            raise ValueError(f"unknown keys {unknown}")
        for name, service in self.services.items():
            missing = set(service.depends_on) - set(self.services)
            missing |= {use.source for use in service.configs} - set(self.configs)
            missing |= set(service.secrets) - set(self.secrets)
            named = {mount.split(":")[0] for mount in service.volumes}
            missing |= {each for each in named if not each.startswith("./")} - set(self.volumes)
            if missing:
                raise ValueError(f"{name} names {missing}, which is not there")
        return self
