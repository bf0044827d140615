# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat wireshark``: the dissector for Wireshark, written and installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scapy_chitchat.cli.common import Failure

if TYPE_CHECKING:
    from scapy_chitchat.wireshark.install import Folders

HELP = """The dissector for Wireshark and tshark: one Lua file.

Examples:

  scapy-chitchat wireshark install

  scapy-chitchat wireshark install --colors

  scapy-chitchat wireshark where

  scapy-chitchat wireshark generate -o chitchat.lua

  scapy-chitchat wireshark uninstall
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)

FOLDER = typer.Option(None, "--folder", metavar="FOLDER", help="This plugin folder, not the one that tshark names.")
EVERYONE = typer.Option(False, "--global", help="The folder for all users of this machine.")
FORCE = typer.Option(False, "--force", help="Even where the file is not one of ours.")


def add_to(parent: typer.Typer) -> None:
    """Make these commands of ``parent``."""
    parent.add_typer(app, name="wireshark")


@app.command(epilog="Example: scapy-chitchat wireshark generate -o chitchat.lua")
def generate(
    output: str = typer.Option("-", "-o", "--output", metavar="FILE", help="Where to; - is standard output."),
    force: bool = FORCE,
) -> None:
    """Write the dissector from the layers."""
    from scapy_chitchat.wireshark.chitchat import dissector

    if output == "-":
        print(dissector(), end="")
        return
    print(f"{output} {_write(Path(output), dissector(), force)}")


@app.command(epilog="Example: scapy-chitchat wireshark install --colors")
def install(
    folder: Path | None = FOLDER,
    everyone: bool = EVERYONE,
    force: bool = FORCE,
    colors: bool = typer.Option(False, "--colors", help="A file of colouring rules as well, to be imported."),
    filters: bool = typer.Option(False, "--filters", help="List useful display filters at the end."),
) -> None:
    """Put the dissector where Wireshark loads it from."""
    from scapy_chitchat.wireshark import install as setup
    from scapy_chitchat.wireshark.chitchat import dissector

    found = setup.folders()
    target = _plugin_folder(found, folder, everyone) / setup.FILE_NAME
    print(f"{target} {_write(target, dissector(), force)}")
    if colors:
        rules = found.configuration / setup.COLOURS_NAME
        print(f"{rules} {_write(rules, setup.colour_rules(), force)}")
        print("In Wireshark: View, Coloring Rules, Import, and choose that file.")
    print("\n".join(_how_to_check(setup.is_loaded(), custom=folder is not None)))
    if filters:
        print("\n".join(setup.filter_lines()))


@app.command(epilog="Example: scapy-chitchat wireshark uninstall")
def uninstall(folder: Path | None = FOLDER, everyone: bool = EVERYONE, force: bool = FORCE) -> None:
    """Remove the dissector and the colouring rules."""
    from scapy_chitchat.wireshark import install as setup

    found = setup.folders()
    paths = [_plugin_folder(found, folder, everyone) / setup.FILE_NAME, found.configuration / setup.COLOURS_NAME]
    removed = []
    for path in paths:
        try:
            if setup.remove(path, force=force):
                removed.append(path)
        except setup.NotOursError as error:
            raise _not_ours(error) from None
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}") from None
    print("\n".join(f"{path} removed" for path in removed) or f"nothing to remove: there is no {paths[0]}")


@app.command(epilog="Example: scapy-chitchat wireshark where")
def where() -> None:
    """Show which folders Wireshark loads plugins from, and whether the dissector is there."""
    from scapy_chitchat.wireshark import install as setup

    found = setup.folders()
    print("as tshark says" if found.asked else "no tshark on PATH; by the rule of this platform")
    for title, folder in (("personal", found.personal), ("global", found.everyone)):
        if folder is not None:
            target = folder / setup.FILE_NAME
            state = "not installed" if not target.exists() else "installed" if setup.is_ours(target) else "not ours"
            print(f"{title:9} {target} ({state})")


def _plugin_folder(found: Folders, folder: Path | None, everyone: bool) -> Path:
    if folder is not None:
        return folder
    if not everyone:
        return found.personal
    if found.everyone is None:
        raise Failure("only tshark knows the folder for all users, and there is none on PATH; name it with --folder")
    return found.everyone


def _write(path: Path, text: str, force: bool) -> str:
    from scapy_chitchat.wireshark.install import NotOursError, write

    try:
        return write(path, text, force=force)
    except NotOursError as error:
        raise _not_ours(error) from None
    except OSError as error:
        raise Failure(f"{error.filename or path}: {error.strerror}") from None


def _not_ours(error: Exception) -> Failure:
    return Failure(f"{error} was not written by scapy-chitchat; move it away, or insist with --force")


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
