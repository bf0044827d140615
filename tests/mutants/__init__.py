# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants: the package with one small fault each, to see whether the tests notice: ``python -m tests.mutants -h``."""
