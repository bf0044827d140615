# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat wireshark uninstall``: the dissector removed."""

from __future__ import annotations

from scapy_chitchat.cli.common import CommandFailed
from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.wireshark.files import Force, Place, not_ours, plugin_folder
from scapy_chitchat.wireshark import install as setup


def uninstall(place: Place, force: Force = False) -> None:
    """Remove the dissector and the colouring rules."""
    found = setup.folders()
    paths = [plugin_folder(found, place) / setup.FILE_NAME, found.configuration / setup.COLOURS_NAME]
    removed = []
    for path in paths:
        try:
            if setup.remove(path, force=force):
                removed.append(path)
        except setup.NotOursError as error:
            raise not_ours(error) from None
        except OSError as error:
            raise CommandFailed(f"{path}: {error.strerror}") from None
    print("\n".join(f"{path} removed" for path in removed) or f"nothing to remove: there is no {paths[0]}")


COMMAND = Command(uninstall, examples=("scapy-chitchat wireshark uninstall",), bare=True)
