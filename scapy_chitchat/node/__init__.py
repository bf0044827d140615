# SPDX-License-Identifier: GPL-2.0-or-later
"""What one node tells of its cluster."""
