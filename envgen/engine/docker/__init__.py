"""Docker as an engine: builder, runtime, image store, and what asks registries."""

from envgen.engine.docker.engine import DockerEngine

__all__ = ["DockerEngine"]
