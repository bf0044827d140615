# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of ``wireshark`` share: the folder that is meant, and our files in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from scapy_chitchat.cli.common import CommandFailed
from scapy_chitchat.wireshark.install import Folders, NotOursError, write

Force = Annotated[bool, typer.Option("--force", help="Even where the file is not one of ours.")]


@dataclass(frozen=True)
class Place:
    """Which plugin folder is meant."""

    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="This plugin folder, not the one that tshark names."),
    ] = None
    everyone: Annotated[bool, typer.Option("--global", help="The folder for all users of this machine.")] = False


def plugin_folder(found: Folders, place: Place) -> Path:
    """The folder that is meant. Raises CommandFailed where it is not known."""
    if place.folder is not None:
        return place.folder
    if not place.everyone:
        return found.personal
    if found.everyone is None:
        raise CommandFailed(
            "only tshark knows the folder for all users, and there is none on PATH; name it with --folder"
        )
    return found.everyone


def write_ours(path: Path, text: str, force: bool) -> str:
    """Write one of our files; gives the word for what was done. Raises CommandFailed for a file of somebody else."""
    try:
        return write(path, text, force=force)
    except NotOursError as error:
        raise not_ours(error) from None
    except OSError as error:
        raise CommandFailed(f"{error.filename or path}: {error.strerror}") from None


def not_ours(error: Exception) -> CommandFailed:
    """What to say of a file that somebody else wrote."""
    return CommandFailed(f"{error} was not written by scapy-chitchat; move it away, or insist with --force")
