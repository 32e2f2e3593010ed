"""Records amended as an honest writer would, for tests of what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.grid import keys, store


def amend(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file; a record's own digest follows."""
    content = {**json.loads(path.read_text()), **changes}
    if content.pop("sha256", None) is not None:
        content["sha256"] = keys.digest(content)
    path.write_text(json.dumps(content))


def seal_again(stage: Path) -> None:
    """Record the files of a finished stage as they lie there now."""
    record = store.read_record(stage)
    assert record is not None
    store.seal(stage, record)
