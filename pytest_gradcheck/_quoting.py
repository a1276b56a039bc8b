"""Names and numbers as they can be printed; files that are there whole or not at all."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

NAME_WIDTH = 28  # characters of a name in a table
NAME_WIDTH_IN_ERRORS = 80
VALUE_WIDTH = 160  # characters of a value that an error quotes
NARROWEST = 50  # columns of a terminal that texts are fitted to at least
_told: list[tuple[int, bool]] = []

_NUMBERS = re.compile(r"\d+")
_PLAIN_KEY = re.compile(r"[\w.\-/:]+")


def key_step(key: object) -> str:
    """Return the step to the entry `key` of a mapping: ``.W1``, or ``['a b']`` where needed."""
    if isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
        return f".{key}"
    if hasattr(key, "item") and hasattr(key, "dtype"):
        key = key.item()  # a dict finds np.int64(1) under 1
    return f"[{_repr(key)}]"


def are_plain(keys: Sequence[object]) -> bool:
    """Return whether the step to each of these keys is a point and the key itself."""
    # There may be tens of thousands, and no function is called for each.
    if {*map(type, keys)} != {str} or "" in keys:
        return False
    return _PLAIN_KEY.fullmatch("".join(keys)) is not None  # type: ignore[arg-type]


def quoted(value: object) -> str:
    """Return a value as an error quotes it: printable and not too long, whatever it is."""
    return shown(_repr(value), VALUE_WIDTH)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # an error about a value must not end in one of the value's own
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def shown(name: str, width: int = NAME_WIDTH) -> str:
    """Return a name as it can be printed: no control characters, at most `width` long."""
    # Of a name of a million characters, only the ends are looked at.
    ends = name if len(name) <= 2 * width else name[:width] + "\0" + name[-width:]
    clean = ends if ends.isprintable() else printable(ends, "")
    if len(clean) <= width:
        return clean
    keep = width - len(mark := ellipsis())
    return clean[: keep // 2] + mark + clean[-(keep - keep // 2) :]


def printable(text: str, kept: str = "\n") -> str:
    """Return a text in which what can't be printed, and isn't kept, is shown as an escape."""
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


def one_digit(value: float) -> str:
    """Return a number of one digit as people write it: 3e-5, 1e7."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def distinct(names: Sequence[str], width: int = NAME_WIDTH) -> list[str]:
    """Return names as `shown`; where two would look alike, what all of them begin with goes."""
    short = [shown(name, width) for name in names]
    if len(set(short)) < len(set(names)):
        first, last = min(names), max(names)
        alike = next(k for k, (a, b) in enumerate(zip_longest(first, last)) if a != b)
        ends = (max(first.rfind(mark, 0, alike) for mark in marks) + 1 for marks in ("./ ", "_["))
        end = next(filter(None, ends), 0)
        short = [shown(f"{ellipsis()}{name[end:]}" if end else name, width) for name in names]
    return short


def layer_numbers(name: str) -> tuple[int, ...]:
    """Return the numbers in a name, which may be those of layers; none in most names."""
    return tuple(map(int, _NUMBERS.findall(name)))


def brief(name: str) -> str:
    """Return a name or a label as a sentence has it."""
    return shown(name, NAME_WIDTH_IN_ERRORS)


def listing(names: Iterable[str], most: int = 8) -> str:
    """Return names with commas, the first `most` of them, each as it can be printed."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(brief(name) for name in names[:most]) + more


def together(names: Iterable[str], most: int = 4) -> str:
    """Return names as a sentence has them: two with "and", more as a list; each shortened."""
    clean = [shown(name) for name in names]
    return " and ".join(clean) if len(clean) == 2 else listing(clean, most)


def columns() -> int:
    """Return how many columns the terminal has in which a text will be read."""
    found = _told[-1][0] if _told else shutil.get_terminal_size().columns
    return max(found, NARROWEST)


def ellipsis() -> str:
    """Return what stands for what was left out, in letters that the terminal has."""
    return "..." if _told and _told[-1][1] else "…"


def tell_terminal(width: int, ascii_alone: bool = False) -> Callable[[], None]:
    """Say how wide the terminal is, and what letters it has, until what is returned is called."""
    # While pytest captures what a test prints, no file of the process is the terminal's.
    _told.append((width, ascii_alone))
    return partial(_told.remove, (width, ascii_alone))


# Files that are there whole or not at all


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path`, whose folder exists, once all is written."""
    # A link stays a link; what is no regular file, as a pipe, is written to as it is. When writing
    # fails, with OSError, what was at `path` is still there.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    # Named by the process: workers of pytest-xdist may write into one folder.
    beside = target.with_name(f".gradcheck-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with beside.open("xb") as stream:
            yield stream
        beside.replace(target)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def rounded_up(value: float) -> float:
    """Return the value rounded up to one digit: 3.2e-5 to 4e-5."""
    if value <= 0:
        return 0.0
    power = math.floor(math.log10(value))
    return float(f"{math.ceil(value / 10**power - 1e-9)}e{power}")
