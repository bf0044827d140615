# SPDX-License-Identifier: GPL-2.0-or-later
"""A live view of the cluster in a terminal.

watcher.py feeds the engine, in a thread of its own that waits for nobody, and hands out snapshots (snapshot.py) when
it is asked; rows.py makes rows of them; table.py shows rows and draws anew only what has changed; screens.py and app.py
are the view. The words come from whoever opens it, so that all commands say the same.
"""
