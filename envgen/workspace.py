"""What every command works with: what there is, where it comes from, and whom to tell."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from envgen.core.progress import Reporter
from envgen.core.settings import Settings
from envgen.profiles.catalog import Project
from envgen.sources.hub import Hub
from envgen.sources.index import IndexClient
from envgen.sources.model_store import ModelStore
from envgen.sources.wheel_store import WheelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What every command works with."""

    project: Project
    settings: Settings
    reporter: Reporter

    @property
    def store(self) -> WheelStore:
        return WheelStore(self.settings.wheels)

    @property
    def models(self) -> ModelStore:
        return ModelStore(self.settings.models)

    def hub(self) -> Hub:
        return Hub(self.settings, self.project.explain)

    def offline(self) -> "Workspace":
        """The same, but that no network is used."""
        return replace(self, settings=replace(self.settings, offline=True))

    def client(self, urls: Mapping[str, str]) -> IndexClient:
        return IndexClient(self.settings, urls)
