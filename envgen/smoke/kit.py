"""What getting a model takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from envgen.lock import Lock
from envgen.profiles import Diagnosis, ModelWheel
from envgen.smoke.run import SmokeOptions
from envgen.sources import Hub, ModelStore, Packages
from envgen.workspace import Workspace


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


def model_kit(workspace: Workspace, image: str, lock: Lock, bench: SmokeOptions) -> Kit:
    """What the model of a test is got with."""
    return Kit(
        image=image,
        lock=lock,
        bench=bench,
        packages=workspace.packages(lock.index_urls),
        hub=workspace.hub,
        models=workspace.models,
        known=workspace.project.model_wheels(),
        diagnoses=workspace.project.diagnoses(),
    )
