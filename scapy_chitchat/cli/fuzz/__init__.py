# SPDX-License-Identifier: GPL-2.0-or-later
"""``scapy-chitchat fuzz``: hostile cases, made and run.

A module a command; making.py has what several of them share.
"""

from __future__ import annotations

from scapy_chitchat.cli.declaring import Group

GROUP = Group(
    {
        "list": "Show the strategies: how many of the cases are theirs, and what they do.",
        "generate": "Write cases without sending them: as a capture with a comment on each packet, or as JSON.",
        "run": "Send cases to a node, watch whether it lives, and narrow what makes it fail to the smallest case.",
        "reproduce": "Try the case of a finding again, on fresh nodes.",
        "minimize": "Narrow the case of a finding further, on fresh nodes, and write its folder anew.",
    },
    examples=(
        "scapy-chitchat fuzz list",
        "scapy-chitchat fuzz generate --seed 1 -n 10000 -w cases.pcapng",
        'scapy-chitchat fuzz run --to 127.0.0.1:7280 --time 600 \\\n    --spawn "my-node --listen 127.0.0.1:7280"',
        "scapy-chitchat fuzz reproduce findings/20260101-120000/01-state.rs-237",
    ),
)
