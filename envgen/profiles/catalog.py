"""Find profiles, constraint sets, templates and locks: the project's own first, then the shipped ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envgen.core.errors import ProfileError, UsageError
from envgen.core.target import Target
from envgen.core.toml import load_toml, suggestion
from envgen.profiles.constraints import Bound, Document, check_profile, read_constraints, read_documents
from envgen.profiles.cuda import CudaTable, read_toolkit, with_cuda
from envgen.profiles.extends import PROFILE_NAME
from envgen.profiles.model import Profile
from envgen.profiles.model_wheels import ModelWheel, read_model_wheels
from envgen.profiles.pairs import PairTable, read_pairs
from envgen.profiles.read import load_profile

if TYPE_CHECKING:  # slow to compile, and not needed to check a lock
    from envgen.profiles.error_tables import Diagnosis

LOCK_FILE = "envgen.lock"
REQUIREMENTS_FILE = "requirements.txt"
DOCKERFILE = "Dockerfile"
TEMPLATES = ("Dockerfile.j2", "requirements.txt.j2")
"""Templates of the files rendered from a lock."""

TOOLKIT = "profiles/toolkits/cuda.toml"
"""The table of CUDA drivers and builds."""


_NO_PROJECT = """\
go to your project's folder, or name it: envgen --project DIR …; a new project: envgen init
one of the profiles that come with envgen is used by its name: cpu-base, cuda or bnb-quant"""


def shipped() -> Path:
    """Return the folder of the shipped profiles, templates and locks, in the package or the checkout."""
    package = Path(__file__).parents[1]
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The files of the project in `folder`, backed by the shipped ones."""

    folder: Path

    def profiles(self) -> tuple[str, ...]:
        """The names of all profiles, both the project's and the shipped ones."""
        folders = (self.folder / "profiles", shipped() / "profiles")
        return tuple(sorted({path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.toml")}))

    def own_profiles(self) -> tuple[str, ...]:
        """The names of the project's own profiles or, if it has none, of those it has locks for."""
        own = {path.stem for path in self.folder.glob("profiles/*.toml")}
        locked = {path.parents[1].name for path in self.folder.glob(f"locks/*/*/{LOCK_FILE}")}
        return tuple(sorted(own or locked.intersection(self.profiles())))

    def default_profiles(self) -> tuple[str, ...]:
        """The profiles a command uses by default: the project's own. Raises UsageError outside a project."""
        if own := self.own_profiles():
            return own
        raise UsageError(str(self.folder), "no project here: no profiles/*.toml in this folder or above it", hint=_NO_PROJECT)

    def chosen_profile(self, name: str) -> Profile:
        """The profile `name`, or the project's only one if `name` is empty. Raises as `profile` does, and UsageError for several."""
        if name:
            return self.profile(name)
        only, *more = self.default_profiles()
        if more:
            raise UsageError("profile", "this project has several, and none is named", hint=f"name one of {', '.join((only, *more))}")
        return self.profile(only)

    def profile(self, name: str) -> Profile:
        """Load the profile `name` with everything it extends, and check it against its constraint sets.

        Raises UsageError for an unknown name, ProfileError or ProfileErrors for an invalid profile.
        """
        if name not in self.profiles():
            hint = suggestion(name, self.profiles())
            if not self.own_profiles():
                hint = f"{hint}\nno project here: no profiles/*.toml in {self.folder} or above it".strip()
            raise UsageError("profile", f"there is no profile {name!r}", hint=hint)
        profile = load_profile(name, self._load_profile)
        check_profile(profile, self.bounds(profile))
        return with_cuda(profile, self.toolkit()) if profile.cuda else profile

    def toolkit(self) -> CudaTable:
        """Read the table of CUDA drivers and builds. Raises ProfileError or ProfileErrors."""
        path = self._find(TOOLKIT)
        if path is None:
            raise UsageError(TOOLKIT, "missing: this envgen is not whole", hint="install it again")
        return read_toolkit(load_toml(path, TOOLKIT), TOOLKIT)

    def _load_profile(self, name: str) -> tuple[dict[str, object], str]:
        path = self._find(f"profiles/{name}.toml")
        if path is None:
            raise UsageError("profile", f"there is no profile {name!r}", hint=suggestion(name, self.profiles()))
        return load_toml(path, f"profiles/{name}.toml"), f"profiles/{name}.toml"

    def bounds(self, profile: Profile) -> tuple[Bound, ...]:
        """The bounds of all constraint sets of `profile`. Raises ProfileError."""
        return tuple(bound for name in profile.constraints for bound in self._constraint_set(name, profile))

    def documents(self, profile: Profile) -> tuple[Document, ...]:
        """The documents cited by the bounds of `profile`. Raises ProfileError."""
        return tuple(entry for name in profile.constraints for entry in read_documents(*self._constraint_file(name, profile)))

    def _constraint_set(self, name: str, profile: Profile) -> tuple[Bound, ...]:
        return read_constraints(name, *self._constraint_file(name, profile))

    def _constraint_file(self, name: str, profile: Profile) -> tuple[dict[str, object], str]:
        """Load a constraint set's TOML, with the label of its file. Raises ProfileError if it is missing."""
        label = f"profiles/constraints/{name}.toml"
        path = self._find(label) if PROFILE_NAME.fullmatch(name) else None
        if path is None:
            known = tuple(sorted({path.stem for path in self._each("profiles/constraints", "*.toml")}))
            raise ProfileError(
                f"{profile.origin('constraints')}: constraints", f"there is no constraint set {name!r}", hint=suggestion(name, known)
            )
        return load_toml(path, label), label

    def diagnoses(self) -> "tuple[Diagnosis, ...]":
        """The entries of all error tables. Raises ProfileError."""
        files = {path.name: path for path in reversed(list(self._each("profiles/errors", "*.toml")))}
        labels = {name: f"profiles/errors/{name}" for name in files}
        from envgen.profiles.error_tables import read_diagnoses

        return tuple(entry for name in sorted(files) for entry in read_diagnoses(load_toml(files[name], labels[name]), labels[name]))

    def explain(self, text: str) -> str | None:
        """Return the cause and cure of an error text, or None if it is unknown. Raises ProfileError."""
        from envgen.profiles.error_tables import diagnose

        diagnosis = diagnose(text, self.diagnoses())
        return f"{diagnosis.cause}: {diagnosis.cure}" if diagnosis else None

    def pairs(self) -> PairTable:
        """Read the tables of package compatibility. Raises ProfileError."""
        files = {path.name: path for path in reversed(list(self._each("profiles/pairs", "*.toml")))}
        labels = {name: f"profiles/pairs/{name}" for name in sorted(files)}
        return read_pairs((label, load_toml(files[name], label)) for name, label in labels.items())

    def model_wheels(self) -> tuple[ModelWheel, ...]:
        """The known wheels that ship a model. Raises ProfileError."""
        label = "profiles/models/wheels.toml"
        path = self._find(label)
        return read_model_wheels(load_toml(path, label), label) if path else ()

    def template(self, name: str) -> str:
        """The text of the template `name`, e.g. `Dockerfile.j2`. Raises UsageError if it is missing, ProfileError if unreadable."""
        path = self._find(f"templates/{name}")
        if path is None:
            raise UsageError(f"templates/{name}", "missing: this envgen is not whole", hint="install it again")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileError(f"templates/{name}", f"can't be read: {error}") from error

    def init_templates(self) -> dict[str, str]:
        """The shipped templates for a new project, by name."""
        return {path.name: path.read_text(encoding="utf-8") for path in sorted((shipped() / "templates" / "init").glob("*.j2"))}

    def lock_folder(self, profile: str, target: Target) -> Path:
        """The folder of the project's lock of `profile` for `target`, which may not exist yet."""
        return self.folder / "locks" / profile / target.slug

    def find_lock_folder(self, profile: str, target: Target) -> Path | None:
        """The folder of the project's lock, or of the shipped one unless the project overrides the profile; None if there is neither."""
        own = self.lock_folder(profile, target)
        if (own / LOCK_FILE).is_file():
            return own
        shipped_lock = shipped() / "locks" / profile / target.slug
        is_own_profile = (self.folder / "profiles" / f"{profile}.toml").is_file()
        return shipped_lock if (shipped_lock / LOCK_FILE).is_file() and not is_own_profile else None

    def label(self, path: Path) -> str:
        """`path` for messages: relative to the project, or to <envgen> for shipped files."""
        for folder, prefix in ((self.folder, ""), (shipped(), "<envgen>/")):
            if path.is_relative_to(folder):
                return prefix + path.relative_to(folder).as_posix()
        return str(path)

    def _find(self, relative: str) -> Path | None:
        return next((folder / relative for folder in (self.folder, shipped()) if (folder / relative).is_file()), None)

    def _each(self, relative: str, pattern: str) -> Iterator[Path]:
        for folder in (self.folder, shipped()):
            yield from (folder / relative).glob(pattern)
