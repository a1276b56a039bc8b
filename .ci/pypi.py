"""The README as PyPI shows it: without pictures, whose text stands below them, and dead links."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Readme(MetadataHookInterface):
    """hatchling calls it for every build; its setting `files` is in pyproject.toml."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the README into the metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = re.sub(r"<picture>.*?</picture>\n\n", "", text, flags=re.S)
        files = self.config["files"]
        there = rf"[\1]({files}\2)" if files else r"\1"
        text = re.sub(r"\[([^\]]+)\]\((?!https?:)([^)]+)\)", there, text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
