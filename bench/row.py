"""The process of one row: `python -m bench.row NAME FOLDER`, started by bench.run.

The folder holds the scene; the figures are written there as they come, a line of JSON each.
"""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

import msgspec

from bench.figures import Figure
from bench.rows import chosen
from bench.scene import Scene

SCENE, FIGURES = "scene.json", "figures.jsonl"
#: Before the row is given up, it says where it stands.
LAST_WORDS_S = 1.0


def main() -> int:
    """Measure the row; an error ends it, with what was measured so far kept."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    scene = msgspec.json.decode((folder / SCENE).read_bytes(), type=Scene)
    (row,) = chosen(scene.scale, [name])
    faulthandler.dump_traceback_later(row.limit_s - LAST_WORDS_S)
    for figure in row.measure(scene):
        _write(folder / FIGURES, figure)
    return 0


def _write(path: Path, figure: Figure) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(figure) + b"\n")


def read_figures(folder: Path) -> list[Figure]:
    """What a row has written so far."""
    path = folder / FIGURES
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Figure) for line in lines]


if __name__ == "__main__":
    sys.exit(main())
