"""Docker as an engine: builder, runtime, image store and registry client."""

from envgen.engine.docker.engine import DockerEngine

__all__ = ["DockerEngine"]
