# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat wireshark install``: the dissector where Wireshark loads it from."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.wireshark.files import Force, Place, plugin_folder, write_ours
from scapy_chitchat.wireshark import install as setup
from scapy_chitchat.wireshark.chitchat import dissector


def install(
    place: Place,
    force: Force = False,
    colors: Annotated[
        bool, typer.Option("--colors", help="A file of colouring rules as well, to be imported.")
    ] = False,
    filters: Annotated[bool, typer.Option("--filters", help="List useful display filters at the end.")] = False,
) -> None:
    """Put the dissector where Wireshark loads it from."""
    found = setup.folders()
    target = plugin_folder(found, place) / setup.FILE_NAME
    print(f"{target} {write_ours(target, dissector(), force)}")
    if colors:
        rules = found.configuration / setup.COLOURS_NAME
        print(f"{rules} {write_ours(rules, setup.colour_rules(), force)}")
        print("In Wireshark: View, Coloring Rules, Import, and choose that file.")
    print("\n".join(_how_to_check(setup.is_loaded(), custom=place.folder is not None)))
    if filters:
        print("\n".join(setup.filter_lines()))


def _how_to_check(loaded: bool | None, *, custom: bool) -> list[str]:
    """What to tell a person after the installation."""
    restart = "A Wireshark that is running takes it up with Analyze, Reload Lua Plugins."
    if custom:
        return ["Check that your Wireshark reads that folder: tshark -G folders", restart]
    if loaded is None:
        return ["There is no tshark here to check with; in Wireshark see Help, About, Plugins.", restart]
    if loaded:
        return ["tshark loads it: tshark -G protocols lists chitchat.", restart]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return [
            "tshark does not load it: for root it reads the folder for all users only. Install with --global, or run"
            " Wireshark as an ordinary user.",
        ]
    return ["tshark does not load it. Is Lua enabled? tshark --version says so."]


COMMAND = Command(
    install,
    examples=("scapy-chitchat wireshark install", "scapy-chitchat wireshark install --colors --filters"),
    bare=True,
)
