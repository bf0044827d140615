#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes a folder with another Debian in it, whose tshark the tests can call through chroot:
#
#     tests/wireshark/get_tshark.sh trixie FOLDER     Wireshark 4.4
#     tests/wireshark/get_tshark.sh sid FOLDER        Wireshark 4.6
#
# Does nothing where the folder has a tshark already. Must be root; needs debootstrap. Print the line that it ends with
# into the environment, and `pytest tests/wireshark` tests that tshark as well.

set -eu

if [ $# -ne 2 ]; then
    sed -n '4,10s/^# \{0,1\}//p' "$0"
    exit 2
fi
suite=$1
folder=$2

if [ ! -x "$folder/usr/bin/tshark" ]; then
    if ! command -v debootstrap >/dev/null; then
        echo "debootstrap is missing: apt-get install debootstrap" >&2
        exit 1
    fi
    mkdir -p "$folder"
    # A late error of some unrelated package leaves tshark in place, so what counts is whether it runs.
    debootstrap --variant=minbase --include=tshark "$suite" "$folder" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$folder/debootstrap.out" 2>&1 || true
    rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/* "$folder"/usr/share/doc
    # a plugin for system calls, whose libraries are not always there; tshark would complain of it in every run
    rm -f "$folder"/usr/lib/*/wireshark/plugins/*/epan/falco-events.so
fi
if ! chroot "$folder" tshark --version >"$folder/version.out" 2>&1; then
    echo "no tshark came to be in $folder; see $folder/debootstrap.out" >&2
    exit 1
fi
grep '^TShark' "$folder/version.out" >&2
echo "CHITCHAT_TSHARK_FOLDERS=$(cd "$folder" && pwd)"
