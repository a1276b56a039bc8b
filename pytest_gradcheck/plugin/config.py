"""Where the options of a test come from: ini file, command line, fixture and marker.

The precedence is call > nearest marker > fixture ``gradcheck_options`` > command line > ini file
> default.  Each source is one mapping of the options that it really gives, so that precedence is
nothing but the order in which mappings are laid over each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .._options import CLI_FIELDS, HELP, NAMES, validated
from .._quoting import quoted

SUMMARIES = ("failed", "all", "none")
MARKER = "gradcheck"
KNOWN = f"the options are {', '.join(NAMES)}"

_INI_TYPES = {"float": "float", "int": "int", "str": "string"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What ini file and command line say, for the whole session."""

    options: Mapping[str, Any]
    skip: str  # why checks are skipped; empty: they are not
    summary: str
    json: Path | None
    html: Path | None
    save: Path | None  # a folder
    cache: bool  # whether failing parameters are remembered


SETTINGS = pytest.StashKey[Settings]()


def add_options(parser: pytest.Parser) -> None:
    """Declare the command line and the ini keys; those of checks come from `Options`."""
    group = parser.getgroup("gradcheck", "gradient checks (every option is an ini key as well)")

    def add(name: str, text: str, kind: Any, default: Any = None, **said: Any) -> None:
        group.addoption(_flag(name), dest=_key(name), help=text, **said)
        parser.addini(_key(name), text, type=kind, default=default)

    for item in CLI_FIELDS:
        # "int | None" in the dataclass: an unset key is None for every type.
        kind = _INI_TYPES[str(item.type).removesuffix(" | None")]
        # As argparse shows choices; its own check would only say it in its own words.
        names = getattr(item.metadata["convert"], "names", ())
        metavar = f"{{{','.join(names)}}}" if names else item.name.upper().replace("_", "-")
        add(item.name, HELP.get(item.name, ""), kind, metavar=metavar)
    text = "skip every test that uses the fixtures gradcheck or numerical_gradient"
    add("skip", text, "bool", False, action="store_true")
    text = "do not look first at the parameters that were wrong in the last run"
    add("no_cache", text, "bool", False, action="store_true")
    text = "checks listed at the end: those of failed tests (default), all or none"
    add("summary", text, "string", "failed", choices=SUMMARIES)
    add("json", "write every check of the session to this file", "string", metavar="PATH")
    text = "write a page with every check of the session, and pictures of those that fail"
    add("html", text, "string", metavar="PATH")
    text = "write the vectors of every failing check to a .npz file in this folder"
    add("save", text, "string", metavar="DIR")


def _key(name: str) -> str:
    return "gradcheck_" + name


def _flag(name: str) -> str:
    return "--gradcheck-" + name.replace("_", "-")


def read_settings(config: pytest.Config) -> Settings:
    """Read ini file and command line; UsageError for a bad value, by where it stands."""
    given: dict[str, Any] = {}
    for name in (item.name for item in CLI_FIELDS):
        for value, source in (
            (_ini(config, _key(name)), f"{_place(config)}: {_key(name)}"),
            (config.getoption(_key(name)), _flag(name)),
        ):
            try:
                given |= {} if value is None else validated({name: value}, source)
            except (TypeError, ValueError) as error:
                raise pytest.UsageError(str(error)) from None
    where = "gradcheck_skip in the ini file" if _ini(config, _key("skip")) else ""
    where = "--gradcheck-skip" if config.getoption(_key("skip")) else where
    return Settings(
        options=given,
        skip=f"gradient checks are skipped: {where}" if where else "",
        summary=_summary(config),
        json=_path(config, "json"),
        html=_path(config, "html"),
        save=_path(config, "save"),
        cache=not (config.getoption(_key("no_cache")) or _ini(config, _key("no_cache"))),
    )


def _place(config: pytest.Config) -> str:
    return str(config.inipath or "ini options")


def _ini(config: pytest.Config, key: str) -> Any:
    try:
        return config.getini(key)
    except (TypeError, ValueError, pytest.UsageError) as error:
        # Which of the three it is, and whether the key is in the text, depends on pytest's
        # version and on the file's format.
        said = str(error)
        for pythons, what in ((" to float: ", "a number"), (" base 10: ", "a whole number")):
            if pythons in said:
                said = f"must be {what}, not {said.partition(pythons)[2]}"
        said = said.removeprefix(f"{_place(config)}: ")
        named = said if key in said else f"{key}: {said}"
        raise pytest.UsageError(f"{_place(config)}: {named}") from None


def _summary(config: pytest.Config) -> str:
    value = config.getoption(_key("summary")) or _ini(config, _key("summary"))
    if value not in SUMMARIES:
        wanted = ", ".join(map(repr, SUMMARIES))
        raise pytest.UsageError(
            f"{_place(config)}: gradcheck_summary: must be one of {wanted}, not {quoted(value)}"
        )
    return str(value)


def _path(config: pytest.Config, name: str) -> Path | None:
    # As pytest itself has it: a path is relative to where it was written down.
    here = config.invocation_params.dir
    if said := config.getoption(_key(name)):
        return Path(here, said)
    if written := _ini(config, _key(name)):
        return Path(config.inipath.parent if config.inipath else here, written)
    return None


def marker_options(item: pytest.Item) -> dict[str, Any]:
    """Merge the markers of a test, the nearest winning; what is wrong with one fails the test."""
    marks = list(item.iter_markers(MARKER))
    # pytest counts a mark in `pytest.param(..., marks=...)` as farther than the function's own,
    # yet it is written for this one case.
    of_case = getattr(getattr(item, "callspec", None), "marks", ())
    marks.sort(key=lambda mark: not any(mark is other for other in of_case))
    merged: dict[str, Any] = {}
    for mark in reversed(marks):
        if mark.args:
            raise _failure(
                f"marker gradcheck: takes options by keyword only, not {quoted(mark.args)}; {KNOWN}"
            )
        merged |= _checked(mark.kwargs, "marker gradcheck")
    return merged


def fixture_options(value: Any) -> dict[str, Any]:
    """Check what ``gradcheck_options`` returned: anything but good options fails the test."""
    if not isinstance(value, Mapping):
        raise _failure(
            f"fixture gradcheck_options: must return a mapping of options, not {quoted(value)}"
        )
    return _checked(value, "fixture gradcheck_options")


def _checked(given: Mapping[str, Any], source: str) -> dict[str, Any]:
    try:
        return validated(given, source)
    except (TypeError, ValueError) as error:
        raise _failure(str(error)) from None


def _failure(text: str) -> BaseException:
    # The text says all: a traceback would show the plugin's code and none of the user's.
    return pytest.fail.Exception(text, pytrace=False)
