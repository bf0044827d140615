# SPDX-License-Identifier: GPL-2.0-or-later
"""A table of rows that is sorted, filtered and searched, and of which only the lines that change are drawn anew.

Nothing is measured or styled but what is on the screen: the thread of the engine shares the interpreter with the view.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from scapy_chitchat.watch.rows import Row

GAP = 2
"""Columns of the terminal between two of the table."""


class Rows(ScrollView, can_focus=True):
    """Rows under fixed columns; the cursor stays on its row, wherever that goes, unless it is on the first."""

    DEFAULT_CSS = """
    Rows { background: $surface; color: $foreground; }
    Rows > .rows--head { background: $panel; color: $foreground; text-style: bold; }
    Rows > .rows--cursor { background: $panel; }
    Rows:focus > .rows--cursor { background: $primary; color: $text; }
    """
    COMPONENT_CLASSES = {"rows--head", "rows--cursor"}
    BINDINGS = [
        Binding("j,down", "by(1)", "down", show=False),
        Binding("k,up", "by(-1)", "up", show=False),
        Binding("g,home", "to(0)", "first", show=False),
        Binding("G,end", "to(1)", "last", show=False),
        Binding("ctrl+f,pagedown,ctrl+d", "page(1)", "page down", show=False),
        Binding("ctrl+b,pageup,ctrl+u", "page(-1)", "page up", show=False),
        Binding("enter", "select", "into it", show=False),
        Binding("left", "app.by(-5)", "5 s back", show=False),
        Binding("right", "app.by(5)", "5 s forth", show=False),
        Binding("shift+left", "app.by(-30)", "30 s back", show=False),
        Binding("shift+right", "app.by(30)", "30 s forth", show=False),
        Binding("less_than_sign", "aside(-1)", "to the left", show=False),
        Binding("greater_than_sign", "aside(1)", "to the right", show=False),
    ]

    class Selected(Message):
        """Enter on a row."""

    class Moved(Message):
        """Another row is under the cursor of this table."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.table = name

    def __init__(self, columns: Sequence[str], *, id: str) -> None:
        super().__init__(id=id)
        self.names = tuple(columns)
        self.sorted_by: int | None = None
        """The column by which rows are sorted; None: as they come."""
        self.descending = False
        self.filter = ""
        self.sought = ""
        self.drawn = 0
        """How many lines were asked to be drawn anew so far."""
        self.shown: list[Row] = []
        """The rows that pass the filter, in their order."""
        self.cursor = 0
        self._given: list[Row] = []
        self._widths = [cell_len(each) for each in columns]

    # --- rows ---

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows, or those of them that pass the filter; lines that stay the same are left alone."""
        self._given = list(rows)
        wanted = self.filter.casefold()
        chosen = [each for each in rows if wanted in each.text.casefold()] if wanted else list(rows)
        if self.sorted_by is not None:
            column = self.sorted_by
            chosen.sort(key=lambda each: each.order[column], reverse=self.descending)
        before, under, at = self._lines(), self.current, self.cursor
        self.shown = chosen
        self.cursor = self._place_of(under, at)
        widths = [
            max(map(cell_len, column)) for column in zip(self.names, *(each.plain for each in chosen), strict=True)
        ]
        if widths != self._widths or len(chosen) + 1 != self.virtual_size.height:
            self._measure(widths)
        self._draw_changed(before)
        if self.current is not under and (under is None or self.current is None or self.current.key != under.key):
            self.post_message(self.Moved(self.id or ""))

    def again(self) -> None:
        """Show the same rows, sorted or filtered otherwise."""
        self.show(self._given)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.shown[self.cursor] if self.cursor < len(self.shown) else None

    def _place_of(self, under: Row | None, at: int) -> int:
        """Where the cursor is to be, which was on ``under`` at ``at``."""
        last = max(len(self.shown) - 1, 0)
        if under is None or at == 0 or (at <= last and self.shown[at].key == under.key):
            return min(at, last)
        return next((place for place, each in enumerate(self.shown) if each.key == under.key), min(at, last))

    # --- drawing ---

    def _measure(self, widths: list[int]) -> None:
        if widths != self._widths:
            self._widths = widths
            self.refresh()
        self.virtual_size = Size(sum(widths) + GAP * len(widths), len(self.shown) + 1)

    def _lines(self) -> list[tuple[object, ...]]:
        """What stands on each line of the screen."""
        top = round(self.scroll_y)
        visible = range(top, top + max(self.size.height - 1, 0))
        return [(self._row(place), place == self.cursor) for place in visible]

    def _row(self, place: int) -> tuple[Text, ...]:
        return self.shown[place].cells if place < len(self.shown) else ()

    def _draw_changed(self, before: list[tuple[object, ...]]) -> None:
        """Draw the lines that are not as they were."""
        for line, (old, new) in enumerate(zip(before, self._lines(), strict=False), start=1):
            if not _same(old, new):
                self.drawn += 1
                self.refresh(Region(0, line, max(self.size.width, self.virtual_size.width), 1))

    def on_resize(self, event: Resize) -> None:
        """There is room for more, or less."""
        self._follow()

    def render_line(self, y: int) -> Strip:
        """A line of the screen: the names of the columns first, then the rows from where it is scrolled to."""
        place = round(self.scroll_y) + y - 1
        if y == 0:
            style = self.get_component_rich_style("rows--head")
            cells = tuple(Text(each) for each in self.names)
        elif place < len(self.shown):
            on_it = place == self.cursor
            style = self.get_component_rich_style("rows--cursor") if on_it else self.rich_style
            cells = self.shown[place].cells
        else:
            return Strip.blank(self.size.width, self.rich_style)
        segments = [
            Segment(set_cell_size(cell.plain, width + GAP), style + Style.parse(str(cell.style)))
            for cell, width in zip(cells, self._widths, strict=True)
        ]
        left = round(self.scroll_x)
        return Strip(segments).crop_extend(left, left + self.size.width, style)

    # --- what a person asks for ---

    def move(self, place: int) -> None:
        """The cursor to this row, or the nearest there is."""
        before = self._lines()
        old, self.cursor = self.cursor, min(max(place, 0), max(len(self.shown) - 1, 0))
        self._draw_changed(before)
        self._follow()
        if self.cursor != old:
            self.post_message(self.Moved(self.id or ""))

    def _follow(self) -> None:
        """Scroll so that the cursor is to be seen."""
        height, top = max(self.size.height - 1, 1), round(self.scroll_y)
        wanted = min(max(top, self.cursor - height + 1), self.cursor)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, force=True, immediate=True)

    def action_by(self, rows: int) -> None:
        """So many rows down."""
        self.move(self.cursor + rows)

    def action_to(self, end: int) -> None:
        """To the first row (0) or the last (1)."""
        self.move(end * len(self.shown))

    def action_page(self, pages: int) -> None:
        """So many pages down."""
        self.move(self.cursor + pages * max(self.size.height - 2, 1))

    def action_aside(self, way: int) -> None:
        """Half a screen to the right, or to the left (-1)."""
        self.scroll_to(x=self.scroll_x + way * self.size.width // 2, animate=False, force=True, immediate=True)

    def action_select(self) -> None:
        """Into the row."""
        self.post_message(self.Selected())

    def on_click(self, event: Click) -> None:
        """A click moves the cursor; a second one goes into the row."""
        line = event.y - self.gutter.top
        if line > 0:
            self.move(round(self.scroll_y) + line - 1)
            if event.chain == 2:
                self.action_select()

    def sort_next(self) -> str:
        """Sort by the next column, or not any more after the last. Gives its name."""
        following = 0 if self.sorted_by is None else self.sorted_by + 1
        self.sorted_by = following if following < len(self.names) else None
        self.again()
        return "as they come" if self.sorted_by is None else self.names[self.sorted_by] or "direction"

    def turn(self) -> None:
        """Sort the other way round."""
        self.descending = not self.descending
        if self.sorted_by is None:
            self.sorted_by = 0
        self.again()

    def seek(self, step: int) -> bool:
        """Go to the next row (step 1) or the one before (-1) that has what is sought; gives whether there is one."""
        sought, count = self.sought.casefold(), len(self.shown)
        for distance in range(1, count + 1):
            place = (self.cursor + step * distance) % count
            if sought and sought in self.shown[place].text.casefold():
                self.move(place)
                return True
        return False


def _same(old: tuple[object, ...], new: tuple[object, ...]) -> bool:
    """Whether two lines look the same. Texts are equal that differ in style alone."""
    if old != new:
        return False
    before, after = old[0], new[0]
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    return before is after or all(one.style == other.style for one, other in zip(before, after, strict=True))
