# SPDX-License-Identifier: GPL-2.0-or-later
"""One HTML page about the clusters of a capture: what was wrong, and pictures of all that the engine knows.

collect.py goes along with the engine, message by message, and keeps bounded figures (bins.py, liveness.py, traffic.py,
spreading.py, troubles.py). At the end charts.py and words.py make of these, and of the engine's last state, what the
page shows, and page.py writes it. The page is one file: the plotting library is in it, and nothing is fetched.
"""
