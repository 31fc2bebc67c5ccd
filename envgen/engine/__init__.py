"""Builds, stores and runs images: the protocols of an engine, and their implementations.

`interface` has the protocols and all values; callers depend on the narrowest protocol. `docker` implements all of them, and
only the command line chooses it. Raises EngineError (exit code 5) if an engine does not answer, BuildError (6) for a failed build.
"""

from envgen.engine.interface import Builder, BuildRequest, Engine, EngineInfo, Image, ImageStore, Registry, RunRequest, RunResult, Runtime

__all__ = ["BuildRequest", "Builder", "Engine", "EngineInfo", "Image", "ImageStore", "Registry", "RunRequest", "RunResult", "Runtime"]
