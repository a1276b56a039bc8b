"""What mkdocstrings shows of functions that take ``**options``: each of them, as `help` does.

It reads source text, where the options are one name of a class; the functions themselves know
what is in it.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe


class WrittenOut(griffe.Extension):
    """Puts keywords and docstring of the imported function in place of those in the source."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Change a function that is marked with ``@takes(…)``; a fixture's method is not shown."""
        marks = {str(one.value).partition("(")[0] for one in func.decorators}
        if not marks & {"takes", "asserting"} or not func.parent or func.parent.is_class:
            return
        function = getattr(import_module(func.module.path), func.name)
        func.parameters = griffe.Parameters(
            *(
                griffe.Parameter(
                    one.name,
                    kind=griffe.ParameterKind(one.kind.description),
                    default=None if one.default is one.empty else repr(one.default),
                )
                for one in inspect.signature(function).parameters.values()
            )
        )
        if func.docstring is not None:
            func.docstring.value = inspect.getdoc(function) or ""
