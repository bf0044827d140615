# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``sniff --metrics`` would have told at the end of a capture, had it listened then.

python examples/metrics_of_a_capture.py pcaps/story.pcap.gz
"""

import sys

from scapy_chitchat import read_messages
from scapy_chitchat.capture import Counters
from scapy_chitchat.metrics.families import families, written
from scapy_chitchat.metrics.tally import Tally

capture = sys.argv[1] if len(sys.argv) > 1 else "pcaps/story.pcap.gz"
tally, counters = Tally(), Counters()
for message in read_messages(capture, counters=counters):
    tally.take(message)
_, text = written(families(tally, counters, dropped=0, now=tally.last, per_node=True))
print(text.decode(), end="")
