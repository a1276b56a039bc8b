"""Python tells of calls, lines and returns, to whoever watches one function being called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Protocol


class Watcher(Protocol):
    """Who is told. Where `over` is true nothing more is."""

    over: bool

    def called(self, frame: FrameType) -> bool:
        """Learn of a call of a Python function; return whether its lines are of interest."""

    def line(self, frame: FrameType, number: int) -> None:
        """Learn of a line that is about to be executed."""

    def returned(self, frame: FrameType, value: Any) -> None:
        """Learn what a function returns."""


def watched(call: Callable[[], Any], watcher: Watcher) -> Any:
    """Call a function while `watcher` is told what this thread executes; return its result.

    Since 3.12 Python has a place for several tools side by side. Before, and where all places are
    taken, a debugger's or coverage's trace function stands aside, and is put back whatever happens.
    """
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        for tool in range(6):
            if monitoring.get_tool(tool) is None:
                return _monitored(call, watcher, monitoring, tool)
    return _traced(call, watcher)


def _traced(call: Callable[[], Any], watcher: Watcher) -> Any:
    def begin(frame: FrameType, event: str, _: Any) -> Any:
        if watcher.over:
            sys.settrace(None)
            return None
        return inside if watcher.called(frame) else None

    def inside(frame: FrameType, event: str, value: Any) -> Any:
        if event == "line":
            watcher.line(frame, frame.f_lineno)
        elif event == "return":
            watcher.returned(frame, value)
        return None if watcher.over else inside

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        return call()
    finally:
        sys.settrace(before)


def _monitored(call: Callable[[], Any], watcher: Watcher, monitoring: Any, tool: int) -> Any:
    events, seen = monitoring.events, set[CodeType]()

    def begin(code: CodeType, _: int) -> None:
        if not watcher.over and watcher.called(sys._getframe(1)) and code not in seen:
            seen.add(code)
            monitoring.set_local_events(tool, code, events.LINE)

    def line(code: CodeType, number: int) -> None:
        if not watcher.over:
            watcher.line(sys._getframe(1), number)

    def end(code: CodeType, _: int, value: Any) -> None:
        if code in seen and not watcher.over:
            watcher.returned(sys._getframe(1), value)

    def unwound(code: CodeType, offset: int, _: BaseException) -> None:
        end(code, offset, None)

    told = {
        events.PY_START: begin,
        events.LINE: line,
        events.PY_RETURN: end,
        events.PY_UNWIND: unwound,
    }
    monitoring.use_tool_id(tool, "pytest-gradcheck")
    try:
        for event, listener in told.items():
            monitoring.register_callback(tool, event, listener)
        monitoring.set_events(tool, events.PY_START | events.PY_RETURN | events.PY_UNWIND)
        return call()
    finally:
        monitoring.set_events(tool, 0)
        for code in seen:
            monitoring.set_local_events(tool, code, 0)
        for event in told:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
