# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages as plain records: what a node would read, fast, with a verdict and what is to be said of them."""
