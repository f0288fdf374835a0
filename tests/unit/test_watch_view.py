"""What `watch` draws on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from pms.cli.columns import Cell, Column, aligned, cut, fit
from pms.cli.full_screen import Key, decode_keys
from pms.cli.printer_order import Order, in_order
from pms.cli.watch_view import Frame, View, frame, pressed
from tests.support.farm_status import big_farm, printer, status

SIZES = [(80, 24), (200, 60), (40, 10), (20, 4), (300, 200)]


def text(drawn: Frame) -> list[str]:
    return [line.plain for line in drawn.lines]


# -- columns ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("natural", "available", "widths"),
    [
        ([3, 5], 20, [3, 5]),
        ([3, 5], 8, [3, 5]),
        ([3, 9, 4], 12, [3, 5, 4]),
        ([30, 30, 4], 20, [8, 8, 4]),
        ([9, 9], 2, [3, 3]),
        ([], 5, []),
    ],
)
def test_the_widest_columns_give_way(natural: list[int], available: int, widths: list[int]) -> None:
    assert fit(natural, available) == widths


@pytest.mark.parametrize(
    ("whole", "width", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 4, "日…"), ("abc", 1, "…"), ("abc", 0, "")],
)
def test_what_is_cut_ends_in_an_ellipsis(whole: str, width: int, shown: str) -> None:
    assert cut(whole, width) == shown


def test_columns_are_aligned_by_what_they_show() -> None:
    rows = [[Cell("日本"), Cell("1")], [Cell("a"), Cell("22")]]
    lines = aligned([Column("Name"), Column("N", right=True)], rows, 80)
    assert [line.plain for line in lines] == ["Name   N", "日本   1", "a     22"]


# -- which printers, and in which order ---------------------------------------------------


def names(order: Order, *printers: dict[str, Any], attention: tuple[int, ...] = ()) -> str:
    return " ".join(each["name"] for each in in_order(printers, order, attention))


FARM = (
    printer(1, "p-10", state="printing", eta_s=600.0, bed="occupied"),
    printer(2, "p-9", state="printing", eta_s=630.0, bed="occupied"),
    printer(3, "p-8", state="printing", eta_s=60.0, bed="occupied"),
    printer(4, "p-7", state="printing", bed="occupied"),
    printer(5, "p-6"),
    printer(6, "p-5", state="disabled"),
    printer(7, "p-4", bed="occupied"),
    printer(8, "p-3", state="error"),
    printer(9, "p-2", state="unreachable"),
    printer(10, "p-1", state="transferring"),
)


@pytest.mark.parametrize(
    ("order", "attention", "listed"),
    [
        (Order.URGENCY, (), "p-3 p-4 p-2 p-8 p-9 p-10 p-7 p-1"),
        (Order.URGENCY, (5, 10), "p-1 p-3 p-6 p-4 p-2 p-8 p-9 p-10 p-7"),
        (Order.TIME_LEFT, (), "p-8 p-9 p-10 p-1 p-2 p-3 p-4 p-7"),
        (Order.NAME, (), "p-1 p-2 p-3 p-4 p-5 p-6 p-7 p-8 p-9 p-10"),
    ],
)
def test_the_order_is_what_the_person_wants(
    order: Order, attention: tuple[int, ...], listed: str
) -> None:
    assert names(order, *FARM, attention=attention) == listed


def test_estimates_that_jitter_by_seconds_move_nothing() -> None:
    later = [each | {"eta_s": each["eta_s"] and each["eta_s"] + 25.0} for each in FARM]
    assert names(Order.URGENCY, *FARM) == names(Order.URGENCY, *later)


# -- the picture --------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("farm", [status(), status(*FARM), big_farm(200)], ids=["0", "10", "200"])
@pytest.mark.parametrize("problem", [None, "no coordinator runs"])
def test_the_picture_fits_every_screen(
    farm: dict[str, Any], width: int, height: int, problem: str | None
) -> None:
    for order in Order:
        drawn = frame(farm, width, height, View(order, 3), problem)
        assert len(drawn.lines) == height
        assert max(line.cell_len for line in drawn.lines) <= width


def test_what_needs_a_person_is_on_a_small_screen_of_a_big_farm() -> None:
    shown = text(frame(big_farm(200), 80, 24, View()))
    assert shown[0].startswith("database connected; broker connected; coordinator 4711")
    assert shown[1].startswith("200 printers: 80 printing, 40 idle, 20 ")
    assert shown[2] == "job 0: no reprints are left"
    assert shown[5] == "27 more jobs need attention: see `status`"
    assert shown[8].split("  ")[0] == "mk4-7"
    assert "look at the bed, then clear it   25 %" in shown[8]
    assert "take the part off, then clear it" in shown[9]
    assert "not listed: 40 idle, 20 disabled" in shown
    assert "queue: 600 copies waiting" in shown
    assert shown[-1].startswith("rows 1-10 of 140  q quit")


def test_a_wide_screen_has_longer_bars_and_temperatures() -> None:
    last = text(frame(big_farm(200), 200, 60, View(Order.NAME, 1 << 20)))
    shown = "\n".join(last)
    assert "25 % ━━━━━─────────────── 13 h 22 min  bed 60/60 °C" in shown


def test_a_lost_coordinator_is_said_above_the_last_picture() -> None:
    shown = text(frame(status(*FARM), 80, 24, View(), "no coordinator runs"))
    assert shown[2] == "no coordinator runs"
    assert any(line.startswith("p-3 ") for line in shown)


def test_names_cannot_steer_the_terminal() -> None:
    odd = printer(1, "\x1b[2J[red]x", state="error", detail="\x1b]0;y\x07")
    shown = "".join(text(frame(status(odd), 80, 24, View())))
    assert "\x1b" not in shown
    assert "\\x1b[2J[red]x" in shown


# -- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"", []),
        (b"q", [Key.QUIT]),
        (b"s", [Key.SORT]),
        (b"\x1b[A\x1b[B", [Key.UP, Key.DOWN]),
        (b"\x1bOA\x1bOB", [Key.UP, Key.DOWN]),
        (b"\x1b[5~\x1b[6~", [Key.PAGE_UP, Key.PAGE_DOWN]),
        (b"\x1b[H\x1b[F", [Key.HOME, Key.END]),
        (b"\x1b[1;5Axx\x1b\xffq", [Key.QUIT]),
    ],
)
def test_keys_are_read_from_what_a_terminal_sends(data: bytes, keys: list[Key]) -> None:
    assert decode_keys(data) == keys


@pytest.mark.parametrize(
    ("keys", "offset"),
    [
        ([], 0),
        ([Key.UP], 0),
        ([Key.DOWN, Key.DOWN], 2),
        ([Key.PAGE_DOWN], 10),
        ([Key.PAGE_DOWN, Key.PAGE_UP, Key.DOWN], 1),
        ([Key.END], 130),
        ([Key.END, Key.DOWN, Key.UP], 129),
        ([Key.END, Key.HOME], 0),
    ],
)
def test_the_rows_are_scrolled_as_far_as_there_are_any(keys: list[Key], offset: int) -> None:
    drawn = frame(big_farm(200), 80, 24, View())
    for key in keys:
        drawn = frame(big_farm(200), 80, 24, pressed(drawn.view, key, drawn.page))
    assert drawn.view.offset == offset
    assert text(drawn)[-1].startswith(f"rows {offset + 1}-{offset + 10} of 140")


def test_the_order_goes_round_and_begins_at_the_top() -> None:
    view = View(offset=5)
    orders = []
    for _ in Order:
        view = pressed(view, Key.SORT, 10)
        orders.append(view.order)
        assert view.offset == 0
    assert orders == [Order.TIME_LEFT, Order.NAME, Order.URGENCY]
