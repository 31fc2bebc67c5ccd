"""Building, keeping and running images: what envgen asks of an engine, and the engines behind that.

`interface` has the protocols and all values; outsiders ask for the narrowest protocol. `docker` implements all of them, and
only the command line chooses it. Raises EngineError (exit code 5) when an engine does not answer, BuildError (6) for a failed build.
"""

from envgen.engine.interface import Builder, BuildRequest, Engine, EngineInfo, Image, ImageStore, Registry, RunRequest, RunResult, Runtime

__all__ = ["BuildRequest", "Builder", "Engine", "EngineInfo", "Image", "ImageStore", "Registry", "RunRequest", "RunResult", "Runtime"]
