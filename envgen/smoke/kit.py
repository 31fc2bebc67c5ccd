"""What getting a model takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from envgen.lock.model import Lock
from envgen.profiles.error_tables import Diagnosis
from envgen.profiles.model_wheels import ModelWheel
from envgen.smoke.run import SmokeOptions
from envgen.sources.hub import Hub
from envgen.sources.model_store import ModelStore
from envgen.sources.packages import Packages


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
