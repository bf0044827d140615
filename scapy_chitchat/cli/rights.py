# SPDX-License-Identifier: GPL-2.0-or-later
"""Rights given up: who has opened a packet socket needs root no more, and reads what anybody on the network sends."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib import import_module
from struct import pack
from typing import TYPE_CHECKING

from scapy_chitchat.cli.common import CommandFailed

if TYPE_CHECKING:
    import pwd

NOBODY = "nobody"
"""Whom root becomes where sudo was not called and no user is named."""

_LATER = ("cramjam", "rich.console", "rich.table", "rich.text", "scapy_chitchat.wire.layers")
"""What is imported only when it is needed: the user may not be allowed to read where it is installed."""

_WIDE = "\u65e5"
"""A character that fills two cells: rich imports its table of widths with the first that is not Latin."""

_CAPSET_VERSION_3 = 0x20080522


def give_up(user: str) -> None:
    """Be ``user`` from now on, if we are root, and have no capabilities in any case.

    Nobody named: the one who called sudo, or nobody. Raises CommandFailed where there is no such user, or where the
    system does not let go.
    """
    _import_what_comes_later()
    try:
        if os.geteuid() == 0:
            _become(_entry(user))
        elif user and _entry(user).pw_uid != os.geteuid():
            raise CommandFailed("--user is for root, who may become somebody else")
        _drop_capabilities()
    except OSError as error:
        raise CommandFailed(f"the rights of root cannot be given up: {error.strerror}") from None


def _import_what_comes_later() -> None:
    for name in _LATER:
        import_module(name)
    from rich.cells import cell_len

    cell_len(_WIDE)


def own_name() -> str:
    """The user that we are."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _entry(user: str) -> pwd.struct_passwd:
    import pwd  # which not every system has

    sudo = os.environ.get("SUDO_UID", "")
    try:
        if not user and sudo.isdecimal():
            return pwd.getpwuid(int(sudo))
        return pwd.getpwnam(user or NOBODY)
    except KeyError:
        raise CommandFailed(f"there is no user {user or sudo or NOBODY}: name one with --user") from None


def _become(entry: pwd.struct_passwd) -> None:
    if entry.pw_uid == 0:
        return
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def _drop_capabilities() -> None:
    """Empty the sets of capabilities of whoever is not root: a program file may have given us some."""
    if sys.platform != "linux" or os.geteuid() == 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(pack("=Ii", _CAPSET_VERSION_3, 0), bytes(24)):
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
