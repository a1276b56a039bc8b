"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path`, whose folder exists, when all has been written.

    A link stays a link; what is no regular file, as a pipe, is written to as it is. When writing
    fails, with OSError, what was at `path` is still there.
    """
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
