# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine: captured messages in, events and states out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from scapy_chitchat.cluster._records import Ack, Syn, SynAck, digest_size
from scapy_chitchat.cluster.community import Community
from scapy_chitchat.cluster.estimates import Estimates, estimate
from scapy_chitchat.cluster.events import Event
from scapy_chitchat.cluster.inbox import Delivered
from scapy_chitchat.cluster.ladder import Step
from scapy_chitchat.cluster.patience import Doubles, Unanswered
from scapy_chitchat.cluster.roster import Roster, Sections
from scapy_chitchat.cluster.settings import Settings
from scapy_chitchat.cluster.speakers import Speaker, Speakers
from scapy_chitchat.cluster.state import ClusterState
from scapy_chitchat.cluster.view import view

if TYPE_CHECKING:
    from scapy_chitchat.cluster._records import CapturedMessage

_MOST_HELD = 1000
"""The most messages that are kept while their cluster is unknown."""


class Cluster:
    """What captured messages say about the clusters whose nodes sent them.

    Feed it a whole capture, or what an interface hears, in order of time; ask it at any moment. ``settings`` are those
    of the nodes that no message shows.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._out: list[Event] = []
        self._roster = Roster()
        self._sections = Sections(self._roster)
        self._speakers = Speakers(self._roster)
        self._communities: dict[str, Community] = {}
        self._time = 0
        self._decimals = 6
        self._held: deque[tuple[Delivered, str]] = deque()
        """Deltas that came before any Syn told their cluster, and where they went."""
        self._unassigned = 0
        self._doubles = Doubles()
        self._unanswered = Unanswered()

    def feed(self, message: CapturedMessage) -> list[Event]:
        """Take one message, in the order of the capture; gives what it shows to have happened.

        A message that no node can read is passed over. For live use, where each event is wanted at once:

            cluster = Cluster()
            for message in read_messages("capture.pcap"):
                for event in cluster.feed(message):
                    if event.event == "dead":
                        print(f"{event.node_id} is dead for {event.observer.node_id}")
        """
        record = message.message
        if record is None:
            return []
        datagram = message.datagram
        self._decimals = datagram.decimals
        self._time = datagram.time * 10 ** (9 - datagram.decimals)
        kind = record.type
        source, destination = message.source, message.destination
        if self._doubles.is_double(source, destination, datagram.data, kind, self._time):
            return []
        speaker = self._speakers.at(source)
        sent = Delivered(self._time, datagram.frame, kind, speaker.address, speaker.run, len(datagram.data))
        if isinstance(record, Syn):
            self._syn(sent, speaker, destination, record, datagram.data)
        elif isinstance(record, SynAck):
            self._syn_ack(sent, speaker, destination, record)
        elif isinstance(record, Ack):
            self._ack(sent, speaker, destination, record)
        else:
            self._bad_cluster(sent, speaker, destination)
        for waited, to in self._unanswered.overdue(self._time):
            if waited.cluster_id is not None:
                self._communities[waited.cluster_id].waits(waited, to, self._time, datagram.frame)
        return self._happened()

    def _happened(self) -> list[Event]:
        if not self._out:
            return []
        events, self._out[:] = list(self._out), []
        return events

    def _community(self, cluster_id: str) -> Community:
        known = self._communities.get(cluster_id)
        if known is None:
            known = self._communities[cluster_id] = Community(cluster_id, self.settings, self._roster, self._out)
        return known

    def _enter(self, community: Community, sent: Delivered) -> None:
        """A message of this cluster: what follows happens now."""
        sent.cluster_id = community.cluster_id
        community.messages += 1
        community.time, community.frame, community.decimals = sent.time, sent.frame, self._decimals

    def _syn(self, sent: Delivered, speaker: Speaker, destination: str, record: Syn, data: bytes) -> None:
        self._speakers.says(sent.source, destination, record.cluster_id)
        speaker.cluster_id = record.cluster_id
        if self._held:
            self._release()
        community = self._community(record.cluster_id)
        self._enter(community, sent)
        if data == speaker.last_data:
            table = speaker.last_table
            run = speaker.run
        else:
            table = self._roster.table(record.digest)
            run = self._speakers.identify(speaker, table)
            speaker.last_data, speaker.last_table = data, table
        sent.table = table
        if run is not None and run in table:
            sent.sender, sent.heartbeat = run, table[run][0]
            community.states(run, speaker.inbox, table, None, destination, len(data))
            community.troubles.speaks(run, sent.source)
        self._deliver(sent, destination)

    def _syn_ack(self, sent: Delivered, speaker: Speaker, destination: str, record: SynAck) -> None:
        cluster_id = self._speakers.cluster_of(destination, sent.source)
        table = sent.table = self._roster.table(record.digest)
        sent.sections = self._sections.of(record.delta)
        if cluster_id is None:
            self._hold(sent, destination)
            return
        community = self._community(cluster_id)
        self._enter(community, sent)
        run = sent.sender = self._speakers.identify(speaker, table)
        if run is not None and run in table:
            speaker.cluster_id = cluster_id
            sent.heartbeat = table[run][0]
            peer = self._speakers.receiver(destination).run
            repeated = table[peer][0] if peer in table and peer != run else None
            answered = speaker.inbox.answered_syn(destination, repeated)
            community.states(run, speaker.inbox, table, answered, None, digest_size(record, sent.length))
        sent.as_of = community.tells(run, sent.sections, table)
        self._deliver(sent, destination)

    def _ack(self, sent: Delivered, speaker: Speaker, destination: str, record: Ack) -> None:
        cluster_id = self._speakers.cluster_of(sent.source, destination)
        sent.sections = self._sections.of(record.delta)
        if cluster_id is None:
            self._hold(sent, destination)
            return
        community = self._community(cluster_id)
        self._enter(community, sent)
        answered = speaker.inbox.answered_syn_ack(destination, sent.sections)
        if answered is not None:
            answered.read_at = sent.time
        sent.as_of = community.tells(speaker.run, sent.sections, None)
        self._deliver(sent, destination)

    def _hold(self, sent: Delivered, destination: str) -> None:
        """Keep the contents of a delta until a Syn tells whose they are."""
        self._unassigned += 1
        self._held.append((sent, destination))
        if len(self._held) > _MOST_HELD:
            self._held.popleft()

    def _release(self) -> None:
        """What was held back, as far as its cluster can be told now: its contents, at their time."""
        held, self._held = self._held, deque()
        for sent, destination in held:
            asked, answering = (destination, sent.source) if sent.kind == "SynAck" else (sent.source, destination)
            cluster_id = self._speakers.cluster_of(asked, answering)
            if cluster_id is None:
                self._held.append((sent, destination))
                continue
            self._unassigned -= 1
            community = self._community(cluster_id)
            community.time, community.frame, community.decimals = sent.time, sent.frame, self._decimals
            community.tells(None, sent.sections, sent.table)

    def _bad_cluster(self, sent: Delivered, speaker: Speaker, destination: str) -> None:
        answered = speaker.inbox.answered_by_bad_cluster(destination, speaker.cluster_id)
        cluster_id = answered.cluster_id if answered else self._speakers.cluster_of(destination, sent.source)
        if cluster_id is None:
            self._unassigned += 1
            return
        community = self._community(cluster_id)
        self._enter(community, sent)
        if answered is not None:
            answered.read_at = sent.time
        asked = self._speakers.receiver(destination).run
        community.emit("bad-cluster", asked, speaker.run, to=sent.source, other_cluster=speaker.cluster_id)
        self._deliver(sent, destination)

    def _deliver(self, sent: Delivered, destination: str) -> None:
        if sent.wants_answer and sent.cluster_id is not None:
            self._unanswered.sent(sent, destination, self._communities[sent.cluster_id].interval)
        self._speakers.receiver(destination).inbox.put(sent)

    def events(self, messages: Iterable[CapturedMessage]) -> Iterator[Event]:
        """Take all of these messages; gives what happened, to the verdicts of the last round.

        happened = Cluster().events(read_messages("capture.pcap"))
        restarts = [event for event in happened if event.event == "restarted"]
        """
        for message in messages:
            yield from self.feed(message)
        yield from self.finish()

    def finish(self) -> list[Event]:
        """What is only known at the end of the capture: the verdicts of each node's last round."""
        for community in self._communities.values():
            community.frame = None
            for observer in community.observers.values():
                community.judge(observer)
        return self._happened()

    def at(self, time: int | None = None) -> list[ClusterState]:
        """The clusters as they are now, one a cluster_id.

        ``time``: nanoseconds since the epoch up to which liveness is reckoned, not before the last message; None: then.

            for state in cluster.at():
                for node in state.nodes:
                    print(state.cluster_id, node.node_id, node.run, node.max_version, node.complete)
        """
        return [view(each, max(time or 0, self._time)) for each in self._communities.values()]

    def estimates(self) -> list[Estimates]:
        """What was guessed of the nodes' settings, and how much was explained. One a cluster_id."""
        return [
            estimate(each, doubled=self._doubles.count, unassigned=self._unassigned)
            for each in self._communities.values()
        ]

    def followed(self) -> list[Step]:
        """The versions that ``Settings.follow`` asked for, in the order in which they were seen."""
        return [step for each in self._communities.values() for step in each.ladder()]
