# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of a cluster for Prometheus, out of the messages that pass: a passive exporter.

The engine and the counters are fed by one thread, message by message; what is asked over HTTP is answered by the same
thread between two messages, so that nothing is read while it changes and no message waits for a lock.
"""
