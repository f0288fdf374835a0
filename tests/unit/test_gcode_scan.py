from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pms.domain.gcode_scan import GcodeFacts, GcodeScanner

LONG = 300_000


def scan(*chunks: bytes) -> GcodeFacts:
    scanner = GcodeScanner()
    for chunk in chunks:
        scanner.feed(chunk)
    return scanner.finish()


def scan_by_line(content: bytes) -> GcodeFacts:
    """The same facts, found in the plainest way: the whole file, line by line."""
    has_command = False
    finish_marker = None
    content_start = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    for line in re.finditer(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)", content[content_start:]):
        command = line.group().strip(b" \t\v\f\r\n")
        if re.match(rb"M0(\D|$)", command):
            finish_marker = content_start + line.end()
        without_comments = re.sub(rb"^(\([^)]*\)|\s)*", b"", command)
        if without_comments and without_comments[:1] not in b";(":
            has_command = True
    return GcodeFacts(size=len(content), has_command=has_command, finish_marker=finish_marker)


@pytest.mark.parametrize(
    ("content", "finish_marker"),
    [
        (b"", None),
        (b"G28\n", None),
        (b"M0\n", 3),
        (b"M0", 2),
        (b"G1 X1\nM0\nG28\n", 9),
        (b"G1 X1\nM0", 8),
        (b"M0\nG1 X1\nM0\nG28\n", 12),
        (b"M0 P500\nG28\n", 8),
        (b"M0P500\nG28\n", 7),
        (b"M0;c\nG28\n", 5),
        (b"M0.1\nG28\n", 5),
        (b"  \t M0\nG28\n", 7),
        (b"\nM0  \nG28\n", 6),
        (b"m0\n", None),
        (b"M00\n", None),
        (b"M01\n", None),
        (b"M\n0\n", None),
        (b"N5 M0*12\n", None),
        (b"M1\n", None),
        (b"; M0\n", None),
        (b";M0\n(M0)\n(c) M0\n", None),
        (b"G1 X1 ;M0\n", None),
        (b"G1 M0\n", None),
        (b"M117 M0\nM0\nM117 M0\n", 11),
        (b"M0 ;M0\nG28\n", 7),
        (b"G1 X1\r\nM0\r\nG28\r\n", 11),
        (b"G1 X1\r\nM0\r\n\r\nG28\r\n", 11),
        (b"G1 X1\rM0\rG28\r", 9),
        (b"G1 X1\rM0\r\rG28\r", 9),
        (b"M0\r", 3),
        (b"M0\r\n", 4),
        ("; 210 °C\nM0\nG28\n".encode(), 13),
        ("M117 fertig ✓\nM0 ;größer\nG28\n".encode(), 29),
        (b"; \xb0C, not UTF-8\nM0\n", 19),
        (b"\xef\xbb\xbfM0\nG28\n", 6),
        (b"\xef\xbb\xbf", None),
        (b"\xef\xbbM0\n", None),
        (b";" + b"M0" * LONG + b"\nM0\nG28\n", 2 * LONG + 5),
        (b" " * LONG + b"M0\nG28\n", LONG + 3),
        (b"M0 " + b";" * LONG + b"\nG28\n", LONG + 4),
    ],
)
def test_finish_marker_is_the_offset_behind_the_last_m0_line(
    content: bytes, finish_marker: int | None
) -> None:
    assert scan(content).finish_marker == finish_marker
    assert scan_by_line(content).finish_marker == finish_marker


@pytest.mark.parametrize(
    ("content", "has_command"),
    [
        (b"", False),
        (b"\n\r\n \t\n", False),
        (b"; made by a slicer\n\n;end", False),
        (b"(a)\n (b) (c) ; d\n(never closed\n", False),
        (b"\xef\xbb\xbf; only a comment\n", False),
        (b"\xef\xbb\xbf\n", False),
        (b"G28", True),
        (b"G", True),
        (b";a\r\nG28\r\n", True),
        (b";a\rG28", True),
        (b"(a) G28", True),
        (b"   T0 ; tool", True),
        (b";" * LONG + b"\n", False),
        (b"()" * LONG + b"\n", False),
        (b"()" * LONG + b"G28\n", True),
    ],
)
def test_a_command_is_anything_but_blanks_and_comments(content: bytes, has_command: bool) -> None:
    assert scan(content).has_command is has_command
    assert scan_by_line(content).has_command is has_command


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfG1 X1\r\n  M0 ;c\r\nM00\r\n(M0) M0\r\n",
        b"M0\rM0\r\nM0\n\r\nM0",
        b";M0\n(a;b) M0\n\tM0\n;",
        b"()(\n)\n(M0)(;)\n M0x",
        b"\xef\xbbM0\n",
    ],
)
def test_every_cut_into_two_and_single_bytes_give_the_same_facts(content: bytes) -> None:
    expected = scan_by_line(content)

    assert scan(*(content[i : i + 1] for i in range(len(content)))) == expected
    for cut in range(len(content) + 1):
        assert scan(content[:cut], b"", content[cut:]) == expected


PIECES = st.sampled_from(
    b"M0|M|0|m0|N1 |G1 X1|;|(|)| |\t|\v|\n|\r|\r\n|\xc3\xbc|\xb0|\xef\xbb\xbf".split(b"|")
)


@settings(max_examples=500)
@given(pieces=st.lists(PIECES, max_size=40), data=st.data())
def test_chunks_do_not_matter(pieces: list[bytes], data: st.DataObject) -> None:
    content = b"".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=8).map(sorted))

    chunks = [content[start:end] for start, end in pairwise([0, *cuts, len(content)])]

    assert scan(*chunks) == scan_by_line(content)
