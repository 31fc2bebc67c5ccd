"""The context of a command: its project, settings and reporter, and each client and store, made once."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from envgen.core.parallel import Memo
from envgen.core.progress import Reporter
from envgen.core.settings import Settings
from envgen.profiles import Project
from envgen.sources import Hub, IndexClient, ModelStore, Packages, WheelStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The context of a command. Thread-safe."""

    project: Project
    settings: Settings
    reporter: Reporter
    _made: dict[object, object] = field(default_factory=dict, init=False, repr=False, compare=False)
    _making: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)

    @property
    def store(self) -> WheelStore:
        return self._once("store", lambda: WheelStore(self.settings.wheels))

    @property
    def models(self) -> ModelStore:
        return self._once("models", lambda: ModelStore(self.settings.models))

    @property
    def hub(self) -> Hub:
        return self._once("hub", lambda: Hub(self.settings, self.project.explain))

    @property
    def memo(self) -> Memo:
        """What was found out in this command and holds to its end."""
        return self._once("memo", Memo)

    def packages(self, urls: Mapping[str, str]) -> Packages:
        """The packages of the default index and of the indexes in `urls`, by name."""
        return self._once(("packages", *sorted(urls.items())), lambda: Packages(IndexClient(self.settings, urls), self.store))

    def client(self, urls: Mapping[str, str]) -> IndexClient:
        """The client for these indexes."""
        return self.packages(urls).client

    def offline(self) -> "Workspace":
        """A copy that uses no network."""
        return replace(self, settings=replace(self.settings, offline=True))

    def _once(self, key: object, make: Callable[[], T]) -> T:
        with self._making:
            if key not in self._made:
                self._made[key] = make()
            return cast(T, self._made[key])
