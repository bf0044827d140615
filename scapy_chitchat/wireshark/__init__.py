# SPDX-License-Identifier: GPL-2.0-or-later
"""The Wireshark dissector: written from the layers, and installed where Wireshark looks for it."""
