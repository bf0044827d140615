# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine: captured messages in, events and states out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from scapy_chitchat.cluster._records import LARGE, digest_size
from scapy_chitchat.cluster.community import Community
from scapy_chitchat.cluster.estimates import Estimates, estimate
from scapy_chitchat.cluster.events import Event
from scapy_chitchat.cluster.figures import ClusterFigures, figures
from scapy_chitchat.cluster.forgetting import forget
from scapy_chitchat.cluster.glance import Glance, glances
from scapy_chitchat.cluster.hearing import Heard, Hearing
from scapy_chitchat.cluster.inbox import Delivered
from scapy_chitchat.cluster.ladder import Step
from scapy_chitchat.cluster.patience import Doubles, Unanswered
from scapy_chitchat.cluster.roster import Roster
from scapy_chitchat.cluster.settings import Settings
from scapy_chitchat.cluster.speakers import Speaker, Speakers
from scapy_chitchat.cluster.state import ClusterState
from scapy_chitchat.cluster.view import view

if TYPE_CHECKING:
    from scapy_chitchat.cluster._records import CapturedMessage

_MOST_HELD = 1000
"""The most messages that are kept while their cluster is unknown."""


_NANOSECONDS = tuple(10 ** (9 - decimals) for decimals in range(10))
"""In one unit of a time with so many decimals."""


class Cluster:
    """What captured messages say about the clusters whose nodes sent them.

    Feed it a whole capture, or what an interface hears, in order of time; ask it at any moment. ``settings`` are those
    of the nodes that no message shows.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._out: list[Event] = []
        self._roster = Roster()
        self._hearing = Hearing(self._roster)
        self._speakers = Speakers(self._roster)
        self._communities: dict[str, Community] = {}
        self._time = 0
        self._decimals = 6
        self._held: deque[tuple[Delivered, Speaker, Speaker]] = deque()
        """Deltas that came before any Syn told their cluster, who sent them, and where they went."""
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
        frame, time, decimals, source, source_port, destination, port, data, _, _, _ = message.datagram
        speaker = self._speakers.at(source, source_port)
        # nodes send the same Syn to several peers in a round
        heard = speaker.heard if data == speaker.last_data else self._hearing.of(message)
        if heard is None:
            return []
        self._decimals = decimals
        now = self._time = time * _NANOSECONDS[decimals]
        receiver = self._speakers.at(destination, port)
        kind = heard.type
        if self._doubles.looks_at(kind, now) and self._doubles.is_double(speaker, receiver, data, kind, now):
            return []
        sent = Delivered(now, frame, kind, speaker.address, speaker.run, len(data))
        if kind == "Syn":
            self._syn(sent, speaker, receiver, heard, data)
        elif kind == "SynAck":
            self._syn_ack(sent, speaker, receiver, heard, message)
        elif kind == "Ack":
            self._ack(sent, speaker, receiver, heard)
        else:
            self._bad_cluster(sent, speaker, receiver)
        if self._unanswered.next_due < now:
            for waited, to in self._unanswered.overdue(now):
                if waited.cluster_id is not None:
                    self._communities[waited.cluster_id].waits(waited, to, now, frame)
        return self._happened() if self._out else []

    def _happened(self) -> list[Event]:
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

    def _syn(self, sent: Delivered, speaker: Speaker, receiver: Speaker, heard: Heard, data: bytes) -> None:
        cluster_id = heard.cluster_id
        self._speakers.says(speaker, receiver, cluster_id)
        speaker.cluster_id = cluster_id
        if self._held:
            self._release()
        community = self._community(cluster_id)
        self._enter(community, sent)
        table = sent.table = heard.table
        if heard is speaker.heard:
            run = speaker.run
        else:
            run = self._speakers.identify(speaker, table)
            speaker.last_data, speaker.heard = data, heard
        if run is not None and run in table:
            sent.sender, sent.heartbeat = run, table[run][0]
            community.states(run, speaker.inbox, table, None, receiver.address, len(data))
            community.troubles.speaks(run, sent.source)
        self._deliver(sent, receiver, community)

    def _syn_ack(
        self, sent: Delivered, speaker: Speaker, receiver: Speaker, heard: Heard, message: CapturedMessage
    ) -> None:
        cluster_id = self._speakers.cluster_of(receiver, speaker)
        table = sent.table = heard.table
        sent.sections = heard.sections
        if cluster_id is None:
            self._hold(sent, speaker, receiver)
            return
        community = self._community(cluster_id)
        self._enter(community, sent)
        run = sent.sender = self._speakers.identify(speaker, table)
        if run is not None and run in table:
            speaker.cluster_id = cluster_id
            sent.heartbeat = table[run][0]
            peer = self._speakers.receiver(receiver).run
            repeated = table[peer][0] if peer in table and peer != run else None
            answered = speaker.inbox.answered_syn(receiver.address, repeated)
            size = sent.length if sent.length < LARGE else digest_size(message)
            community.states(run, speaker.inbox, table, answered, None, size)
        if sent.sections:
            sent.as_of = community.tells(run, sent.sections, table)
        self._deliver(sent, receiver, community)

    def _ack(self, sent: Delivered, speaker: Speaker, receiver: Speaker, heard: Heard) -> None:
        cluster_id = self._speakers.cluster_of(speaker, receiver)
        sent.sections = heard.sections
        if cluster_id is None:
            self._hold(sent, speaker, receiver)
            return
        community = self._community(cluster_id)
        self._enter(community, sent)
        answered = speaker.inbox.answered_syn_ack(receiver.address, sent.sections)
        if answered is not None:
            answered.read_at = sent.time
        if sent.sections:
            sent.as_of = community.tells(speaker.run, sent.sections, None)
        self._deliver(sent, receiver, community)

    def _hold(self, sent: Delivered, speaker: Speaker, receiver: Speaker) -> None:
        """Keep the contents of a delta until a Syn tells whose they are."""
        self._unassigned += 1
        self._held.append((sent, speaker, receiver))
        if len(self._held) > _MOST_HELD:
            self._held.popleft()

    def _release(self) -> None:
        """What was held back, as far as its cluster can be told now: its contents, at their time."""
        held, self._held = self._held, deque()
        for sent, speaker, receiver in held:
            asked, answering = (receiver, speaker) if sent.kind == "SynAck" else (speaker, receiver)
            cluster_id = self._speakers.cluster_of(asked, answering)
            if cluster_id is None:
                self._held.append((sent, speaker, receiver))
                continue
            self._unassigned -= 1
            community = self._community(cluster_id)
            community.time, community.frame, community.decimals = sent.time, sent.frame, self._decimals
            community.tells(None, sent.sections, sent.table)

    def _bad_cluster(self, sent: Delivered, speaker: Speaker, receiver: Speaker) -> None:
        answered = speaker.inbox.answered_by_bad_cluster(receiver.address, speaker.cluster_id)
        cluster_id = answered.cluster_id if answered else self._speakers.cluster_of(receiver, speaker)
        if cluster_id is None:
            self._unassigned += 1
            return
        community = self._community(cluster_id)
        self._enter(community, sent)
        if answered is not None:
            answered.read_at = sent.time
        asked = self._speakers.receiver(receiver).run
        community.emit("bad-cluster", asked, speaker.run, to=sent.source, other_cluster=speaker.cluster_id)
        self._deliver(sent, receiver, community)

    def _deliver(self, sent: Delivered, receiver: Speaker, community: Community) -> None:
        if sent.wants_answer:
            self._unanswered.sent(sent, receiver.address, community.interval)
        self._speakers.receiver(receiver).inbox.put(sent)

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

    def figures(self, time: int | None = None) -> list[ClusterFigures]:
        """The clusters in a few figures, at ``time`` as in ``at``: quick, for whoever asks again and again."""
        now, syn_bytes = max(time or 0, self._time), self._speakers.syn_bytes()
        return [figures(each, syn_bytes, now) for each in self._communities.values()]

    def forget(self, before: int) -> None:
        """Forget the runs that nobody has named and that have said nothing since ``before``, in nanoseconds.

        For one that listens on and on; asked now and then it keeps the memory flat while nodes come and go. What it
        forgets is in no state any more; a run that comes back has joined anew.
        """
        gone = {name: forget(each, before) for name, each in self._communities.items()}
        if any(gone.values()):
            self._roster.forget_layouts()
            self._speakers.lose(gone)
        known = {run for each in self._communities.values() for run in each.seen}
        self._speakers.forget({run for runs in gone.values() for run in runs} - known, before)

    def known(self) -> int:
        """How many runs, addresses and clusters have a place in memory, the forgotten runs' numbers among them."""
        return len(self._roster) + len(self._speakers) + len(self._communities)

    def held(self) -> int:
        """How many replicas, versions and waiting messages are in memory: about what it grows with."""
        replicas = sum(len(o.numbers) for each in self._communities.values() for o in each.observers.values())
        versions = sum(len(h.versions) for each in self._communities.values() for h in each.histories.values())
        return replicas + versions + self._speakers.waiting()

    def glance(self) -> dict[str, list[Glance]]:
        """The verdicts of the observers at work on each other and phi, as of the last message, by cluster_id.

        Cheaper than ``at``, for who asks again and again; nothing is presumed, and nobody judges for being asked.

            for cluster_id, observers in cluster.glance().items():
                dead = {each.subject for observer in observers for each in observer.judged if each.alive is False}
        """
        return {each.cluster_id: glances(each, self._time) for each in self._communities.values()}

    def estimates(self) -> list[Estimates]:
        """What was guessed of the nodes' settings, and how much was explained. One a cluster_id."""
        return [
            estimate(each, doubled=self._doubles.count, unassigned=self._unassigned)
            for each in self._communities.values()
        ]

    def followed(self) -> list[Step]:
        """The versions that ``Settings.follow`` asked for, in the order in which they were seen."""
        return [step for each in self._communities.values() for step in each.ladder()]
