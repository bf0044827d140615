# SPDX-License-Identifier: GPL-2.0-or-later
"""The generated dissector: up to date, and made by something that knows fields, not chitchat."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from scapy.fields import (
    ByteEnumField,
    ByteField,
    ConditionalField,
    FieldLenField,
    IntField,
    IPField,
    LEIntField,
    LELongField,
    LEShortField,
    PacketListField,
    ShortField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet, bind_layers

from scapy_chitchat.described.conditions import When
from scapy_chitchat.described.fields import KnownByteField
from scapy_chitchat.described.lua import generate
from scapy_chitchat.described.lua_kinds import CannotDescribeError
from scapy_chitchat.described.lua_model import Description
from scapy_chitchat.described.lua_source import snake_case
from scapy_chitchat.records.checks import CODES
from scapy_chitchat.wireshark.chitchat import PARTS, dissector
from tests.support.tsharks import DISSECTOR, Tshark, dissected, every_tshark, tshark_leaves, write_capture

# --- a small protocol of stock fields ---


class Reading(Packet):
    """One value of one sensor."""

    name = "Reading"
    fields_desc = [
        ByteField("sensor", 0),
        FieldLenField("unit_len", None, length_of="unit", fmt="B"),
        StrLenField("unit", b"", length_from=lambda pkt: pkt.unit_len),
        LELongField("value", 0),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class Report(Packet):
    """What a station measured."""

    name = "Report"
    fields_desc = [
        IPField("station", "0.0.0.0"),
        FieldLenField("readings_count", None, count_of="readings", fmt="!H"),
        PacketListField("readings", [], Reading, count_from=lambda pkt: pkt.readings_count),
        KnownByteField("has_note", 0, {0: "no", 1: "yes"}, refused_as="bad-status"),
        ConditionalField(StrFixedLenField("note", b"", length=4), When("has_note", 1)),
        LEIntField("check", 0),
    ]


class Query(Packet):
    """A question."""

    name = "Query"
    fields_desc = [ByteEnumField("about", 1, {1: "temperature", 2: "wind"}), ShortField("since", 0)]


class Weather(Packet):
    """The header."""

    name = "Weather"
    fields_desc = [
        ShortField("magic", 0x5745),
        ByteEnumField("kind", 0, {0: "Query", 1: "Report"}),
        IntField("serial", 7),
    ]


bind_layers(Weather, Query, kind=0)
bind_layers(Weather, Report, kind=1)

WEATHER = Description(
    name="Weather",
    title="Weather Stations",
    abbreviation="weather",
    root=Weather,
    ports="5555",
    written_by="pytest",
    parts=PARTS,
    codes={
        code: (CODES[code].severity, CODES[code].text)
        for code in ("field-short", "bad-status", "trailing-bytes", "cut")
    },
    finish=["report_remarks(message)"],
)


def weather_leaves(packet: Packet) -> list[tuple[str, bytes]]:
    """What Scapy shows, as tshark names it."""
    leaves: list[tuple[str, bytes]] = []
    layer: Packet | None = packet
    while layer:
        between = f"{snake_case(type(layer).__name__)}." if isinstance(layer, Reading) else ""
        for field in layer.fields_desc:
            if isinstance(field, ConditionalField) and not field._evalcond(layer):
                continue
            value = layer.getfieldval(field.name)
            if isinstance(field, PacketListField):
                leaves += [leaf for item in value for leaf in weather_leaves(item)]
            elif data := field.addfield(layer, b"", value):
                leaves.append((f"weather.{between}{field.name}", data))
        layer = layer.payload
    return leaves


MESSAGES = [
    Weather() / Query(about=2, since=513),
    Weather(kind=1, serial=0x01020304) / Report(station="10.1.2.3", check=0xA1B2C3D4),
    Weather(kind=1)
    / Report(
        readings=[Reading(sensor=index, unit=b"hPa"[:index], value=2**60 + index) for index in range(4)],
        has_note=1,
        note=b"wind",
    ),
]


@every_tshark
def test_another_protocol_of_stock_fields(tshark: Tshark, tmp_path: Path) -> None:
    script = tmp_path / "weather.lua"
    script.write_text(generate(WEATHER))
    sent = [bytes(message) for message in MESSAGES]
    capture = write_capture(tmp_path / "weather.pcap", sent, port=5555)
    output = tshark.run(capture, "-T", "json", "-x", "-J", "frame weather", script=script)
    shown = [list(tshark_leaves(tree)) for _, tree in dissected(output, "weather")]
    assert shown == [weather_leaves(Weather(data)) for data in sent]
    assert ["".join(data.hex() for _, data in leaves) for leaves in shown] == [data.hex() for data in sent]


@every_tshark
def test_another_protocol_cut_short_anywhere(tshark: Tshark, tmp_path: Path) -> None:
    script = tmp_path / "weather.lua"
    script.write_text(generate(WEATHER))
    whole = bytes(MESSAGES[2])
    capture = write_capture(tmp_path / "short.pcap", [whole[:size] for size in range(1, len(whole))], port=5555)
    fields = ["frame.number", "weather.field_short", "_ws.lua.error"]
    lines = tshark.run(capture, "-T", "fields", *(word for name in fields for word in ("-e", name)), script=script)
    assert [bool(line.split("\t")[1]) for line in lines.splitlines()] == [True] * (len(whole) - 1)
    assert not any(line.split("\t")[2] for line in lines.splitlines())


def test_a_field_that_does_not_say_what_it_is_is_refused() -> None:
    class Vague(Packet):
        fields_desc = [StrLenField("text", b"", length_from=lambda pkt: 3)]

    description = Description("Vague", "Vague", "vague", Vague, "1", "pytest", PARTS, {})
    with pytest.raises(CannotDescribeError, match=r"Vague\.text"):
        generate(description)


def test_a_condition_that_is_a_function_is_refused() -> None:
    class Hidden(Packet):
        fields_desc = [ByteField("flag", 0), ConditionalField(LEShortField("more", 0), lambda pkt: pkt.flag == 1)]

    description = Description("Hidden", "Hidden", "hidden", Hidden, "1", "pytest", PARTS, {})
    with pytest.raises(CannotDescribeError, match="Hidden"):
        generate(description)


# --- the dissector in the repository ---


def test_the_file_in_the_repository_is_what_the_generator_writes() -> None:
    assert DISSECTOR.read_text(encoding="utf-8") == dissector(), (
        "run: scapy-chitchat wireshark generate -o lua/chitchat.lua"
    )


@pytest.mark.parametrize("compiler", ["luac5.1", "luac5.2", "luac5.3", "luac5.4"])
def test_every_lua_can_read_it(compiler: str) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler}")
    subprocess.run([compiler, "-p", str(DISSECTOR)], check=True)


def test_it_sets_no_global_variable() -> None:
    if not shutil.which("luac5.4"):
        pytest.skip("there is no luac5.4")
    listing = subprocess.run(
        ["luac5.4", "-l", "-l", "-p", str(DISSECTOR)], check=True, capture_output=True, text=True
    ).stdout
    assert not [line for line in listing.splitlines() if "SETTABUP" in line and "_ENV" in line]
