"""What getting a model takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from envgen.lock.model import Lock
from envgen.profiles.error_tables import Diagnosis
from envgen.profiles.model_wheels import ModelWheel
from envgen.smoke.run import SmokeOptions
from envgen.sources.hub import Hub
from envgen.sources.index import IndexClient
from envgen.sources.model_store import ModelStore
from envgen.sources.wheel_store import WheelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """An image to run in with its lock, and where things come from and are kept."""

    image: str
    lock: Lock
    bench: SmokeOptions
    client: IndexClient
    store: WheelStore
    hub: Hub
    models: ModelStore
    known: tuple[ModelWheel, ...]
    diagnoses: Sequence[Diagnosis]
