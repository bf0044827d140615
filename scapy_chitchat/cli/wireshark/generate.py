# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat wireshark generate``: the dissector as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scapy_chitchat.cli.declaring import Command
from scapy_chitchat.cli.wireshark.files import Force, write_ours
from scapy_chitchat.wireshark.chitchat import dissector


def generate(
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.")
    ] = "-",
    force: Force = False,
) -> None:
    """Write the dissector from the layers."""
    if output == "-":
        print(dissector(), end="")
        return
    print(f"{output} {write_ours(Path(output), dissector(), force)}")


COMMAND = Command(generate, examples=("scapy-chitchat wireshark generate -o chitchat.lua",), bare=True)
