"""envgen.core.errors: each class is a remedy with an exit code of its own, and says where."""

import pytest

from envgen.core import errors
from envgen.core.errors import EnvgenError, ProfileError, ProfileErrors

CODES = {
    "UsageError": 2,
    "ProfileError": 2,
    "ProfileErrors": 2,
    "ResolutionError": 3,
    "ResolutionErrors": 3,
    "IndexUnavailableError": 3,
    "IndexRefusedError": 3,
    "FileGoneError": 3,
    "HubUnavailableError": 3,
    "HubRefusedError": 3,
    "HubGoneError": 3,
    "StaleLockError": 4,
    "StaleLockErrors": 4,
    "EngineError": 5,
    "BaseGoneError": 5,
    "BuildError": 6,
    "DiskFullError": 6,
    "SmokeError": 7,
    "VerificationError": 8,
}


def test_every_error_has_its_documented_code() -> None:
    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, EnvgenError)}
    del classes["EnvgenError"]
    assert {name: kind.exit_code for name, kind in classes.items()} == CODES


def test_an_error_says_where_and_what() -> None:
    error = ProfileError("profiles/a.toml: as_of", "missing, expected a date", hint="add one")
    assert str(error) == "profiles/a.toml: as_of: missing, expected a date"
    assert error.hint == "add one"
    assert error.faults() == (error,)


def test_an_error_without_a_place_is_its_problem() -> None:
    assert str(EnvgenError("", "nothing to do")) == "nothing to do"


def test_several_faults_stay_apart() -> None:
    faults = (ProfileError("a", "one"), ProfileError("b", "two", hint="three"))
    both = ProfileErrors(faults)
    assert both.faults() == faults
    assert str(both) == "a: one\nb: two"
    with pytest.raises(ProfileError):
        raise both
