# SPDX-License-Identifier: GPL-2.0-or-later
"""A table of rows that is sorted, filtered and searched, and of which only what has changed is drawn anew."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from scapy_chitchat.watch.rows import Row


class Rows(DataTable[Text]):
    """Rows under fixed columns; the cursor stays on its row, wherever that goes."""

    BINDINGS = [
        Binding("j", "cursor_down", "down", show=False),
        Binding("k", "cursor_up", "up", show=False),
        Binding("g", "scroll_top", "first", show=False),
        Binding("G", "scroll_bottom", "last", show=False),
        Binding("ctrl+d", "page_down", "page down", show=False),
        Binding("ctrl+u", "page_up", "page up", show=False),
    ]

    def __init__(self, columns: Sequence[str], *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self.names = tuple(columns)
        self.sorted_by: int | None = None
        """The column by which rows are sorted; None: as they come."""
        self.descending = False
        self.filter = ""
        self.sought = ""
        self.drawn = 0
        """How many cells were written so far."""
        self._given: list[Row] = []
        self._shown: list[Row] = []

    def on_mount(self) -> None:
        """The columns are there from the start."""
        for place, name in enumerate(self.names):
            self.add_column(name, key=str(place))

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows, or those of them that pass the filter; the same cells are left alone."""
        self._given = list(rows)
        wanted = self.filter.casefold()
        chosen = [each for each in rows if wanted in each.text.casefold()]
        if self.sorted_by is not None:
            column = self.sorted_by
            chosen.sort(key=lambda each: each.order[column], reverse=self.descending)
        if [each.key for each in chosen] == [each.key for each in self._shown]:
            self._change(chosen)
        else:
            self._anew(chosen)
        self._shown = chosen

    def again(self) -> None:
        """Show the same rows, sorted or filtered otherwise."""
        self.show(self._given)

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self._shown[self.cursor_row] if 0 <= self.cursor_row < len(self._shown) else None

    def _change(self, chosen: list[Row]) -> None:
        for place, (old, new) in enumerate(zip(self._shown, chosen, strict=True)):
            for column, (before, after) in enumerate(zip(old.cells, new.cells, strict=True)):
                if before != after or before.style != after.style:
                    self.drawn += 1
                    self.update_cell_at(Coordinate(place, column), after, update_width=True)

    def _anew(self, chosen: list[Row]) -> None:
        """Other rows, or in another order."""
        under, place, top = self.current, self.cursor_row, self.scroll_y
        with self.app.batch_update():
            self.clear()
            for each in chosen:
                self.drawn += len(each.cells)
                self.add_row(*each.cells)
            keys = [each.key for each in chosen]
            if under is not None and place > 0 and under.key in keys:
                place = keys.index(under.key)
            self.move_cursor(row=min(max(place, 0), max(len(chosen) - 1, 0)), scroll=False)
            self.scroll_to(y=top, animate=False, force=True)

    # --- what a person asks for ---

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
        sought, count = self.sought.casefold(), len(self._shown)
        for distance in range(1, count + 1):
            place = (self.cursor_row + step * distance) % count
            if sought and sought in self._shown[place].text.casefold():
                self.move_cursor(row=place)
                return True
        return False
