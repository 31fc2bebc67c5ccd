"""What getting a model takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from envgen.lock import Lock
from envgen.profiles import Diagnosis, ModelWheel
from envgen.smoke.run import SmokeOptions
from envgen.sources import Hub, ModelStore, Packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """An image to run in with its lock, and where things come from and are kept."""

    image: str
    lock: Lock
    bench: SmokeOptions
    packages: Packages
    hub: Hub
    models: ModelStore
    known: tuple[ModelWheel, ...]
    diagnoses: Sequence[Diagnosis]
