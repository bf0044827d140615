# SPDX-License-Identifier: GPL-2.0-or-later
"""How commands are declared, what their help says, and what a terminal is told."""

from __future__ import annotations

import ast
import os
import pty
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from itertools import pairwise
from typing import Annotated, ClassVar

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from scapy_chitchat.cli import COMMANDS, options
from scapy_chitchat.cli.application import application
from scapy_chitchat.cli.common import counted
from scapy_chitchat.cli.declaring import flattened
from tests.support import PCAPS, ROOT

THREE = str(PCAPS / "v0-three-nodes.pcap")
PROGRAM = [sys.executable, "-m", "scapy_chitchat"]

TWO_MEANINGS = {
    "--version": "of this program; of the messages that replay sends",
    "-v": "the tree of a message; a line an answer",
    "--verbose": "as -v",
    "-n": "how many cases; how many tries",
    "--findings": "messages with findings; the folder of the fuzzer's",
    "--cluster": "a filter; another name of --cluster-id",
    "--from": "who sent it; a moment of timeline; who sent what is replayed",
    "--to": "who gets it; the node to speak to; a moment of timeline",
    "-o": "a folder for findings; a file for the dissector; a page",
    "--output": "a file for the dissector, which may be standard output; a page, which has to be named",
    "--tries": "Syns of a probe; tries of a case",
    "--summary": "tables of messages; of events",
    "--rate": "evenly so many; at most so many",
    "--limit": "items of a tree; rows of a table",
    "--time": "of a whole run; of narrowing, which has another default and bound",
}
"""Options that are declared twice, since they mean two things."""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own and a terminal's width."""
    variables = {**os.environ, "COLUMNS": "80", **environment}
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, env=variables, check=False)


def every_command() -> Iterator[tuple[str, ...]]:
    """The words of each command, groups too."""

    def below(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, each in getattr(command, "commands", {}).items():
            yield (*words, name)
            yield from below(each, (*words, name))

    yield from below(get_command(application()), ())


@cache
def help_of(*words: str, width: int = 80) -> str:
    """What ``-h`` of a command shows."""
    environment = {"COLUMNS": str(width)}
    asked = CliRunner().invoke(application(words), [*words, "-h"], prog_name="scapy-chitchat", env=environment)
    return asked.output


# --- declared once ---


def test_no_option_is_declared_in_two_places() -> None:
    declared: Counter[str] = Counter()
    for path in (ROOT / "scapy_chitchat" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "Option":
                names = [each.value for each in node.args if isinstance(each, ast.Constant)]
                declared.update(name for name in names if isinstance(name, str) and name.startswith("-"))
    assert declared["--node"] == 1
    assert {name for name, times in declared.items() if times > 1} == set(TWO_MEANINGS)


@dataclass(frozen=True)
class Toy:
    """A group that two commands share."""

    PANEL: ClassVar[str] = "Toys"
    colour: Annotated[str, typer.Option("--colour", help="Which colour.")] = "red"
    many: Annotated[int, typer.Option("--many", rich_help_panel="Elsewhere", help="How many.")] = 1


def test_a_field_of_a_group_is_an_option_of_each_command_that_takes_it() -> None:
    app = typer.Typer()
    seen: list[tuple[str, str, Toy]] = []

    def first(name: Annotated[str, typer.Argument()], toy: Toy) -> int:
        seen.append(("first", name, toy))
        return 3

    def second(toy: Toy) -> None:
        seen.append(("second", "", toy))

    app.command("first")(flattened(first))
    app.command("second")(flattened(second))
    assert CliRunner().invoke(app, ["first", "--colour", "blue", "x"]).exit_code == 3
    assert CliRunner().invoke(app, ["second", "--many", "4"]).exit_code == 0
    assert seen == [("first", "x", Toy(colour="blue")), ("second", "", Toy(many=4))]
    shown = CliRunner().invoke(app, ["second", "--help"]).output
    assert "Toys" in shown
    assert "Elsewhere" in shown


def test_two_groups_with_one_name_are_refused() -> None:
    @dataclass(frozen=True)
    class Other:
        colour: Annotated[str, typer.Option("--hue")] = ""

    def both(toy: Toy, other: Other) -> None: ...

    both.__annotations__ = {"toy": Toy, "other": Other}
    with pytest.raises(ValueError, match="colour"):
        flattened(both)


def test_what_read_and_sniff_share_is_the_same() -> None:
    shared = {f"--{name}" for name in ("port", "node", "key", "cluster", "type", "dedup", "json", "fields", "summary")}
    for name in ("read", "sniff"):
        assert shared <= set(re.findall(r"--[a-z-]+", help_of(name)))
    assert len(fields(options.MessageOptions)) > len(shared)


# --- types ---


@pytest.mark.long
@pytest.mark.parametrize("given", [["Ack", "Syn"], ["ack,SYN"], ["ack, syn,"], ["Ack,Ack,syn"]])
def test_types_are_taken_in_any_case_and_as_a_list(given: list[str]) -> None:
    words = [word for each in given for word in ("--type", each)]
    lines = run("read", "--fields", "type", *words, THREE).stdout.splitlines()
    assert Counter(lines) == {"Ack": 188, "Syn": 188}


def test_an_unknown_type_is_told_the_known_ones() -> None:
    done = run("read", "--type", "Ack,Sin", THREE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no type 'Sin'; there are Syn, SynAck, Ack, BadCluster; see scapy-chitchat read -h" in done.stderr


# --- help and errors ---


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_help_has_examples_that_the_command_takes(words: tuple[str, ...]) -> None:
    shown = help_of(*words)
    assert re.search(r"^ Examples?:", shown, re.MULTILINE)
    text = shown.partition("Example")[2].partition("╭")[0]
    joined = re.sub(r"\\\s*\n", " ", text)
    examples = [line.strip() for line in joined.splitlines() if "scapy-chitchat" in line]
    assert examples
    for example in examples:
        part = next(each for each in example.split("|") if "scapy-chitchat" in each)
        given = shlex.split(part.partition("scapy-chitchat")[2])
        assert tuple(given[: len(words)]) == words
        taken = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_of(*_command_of(given))))
        assert {word for word in given if word.startswith("-") and word != "-"} <= taken


def _command_of(words: list[str]) -> list[str]:
    """The words of a command line that name the command."""
    longest = max((each for each in every_command() if tuple(words[: len(each)]) == each), key=len)
    return list(longest)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_paragraphs_of_help_are_as_wide_as_the_terminal(width: int) -> None:
    shown = help_of("fuzz", "run", width=width)
    prose = shown.partition("Usage:")[2].partition("Examples:")[0]
    for paragraph in prose.split("\n" + " " * width + "\n"):
        lines = [line.rstrip() for line in paragraph.splitlines() if line.strip()]
        for line, following in pairwise(lines):
            assert len(line) + 1 + len(following.split()[0]) >= width - 1, f"{line!r} ends early"


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "help_of"),
    [
        (["--bogus"], "scapy-chitchat"),
        (["reed"], "scapy-chitchat"),
        (["read", "--bogus"], "scapy-chitchat read"),
        (["fuzz", "rum"], "scapy-chitchat fuzz"),
        (["fuzz", "run", "--json"], "scapy-chitchat fuzz run"),
        (["fuzz", "generate", "-n", "1"], "scapy-chitchat fuzz generate"),
        (["fuzz", "generate", "--json", "--strategy", "none"], "scapy-chitchat fuzz generate"),
        (["wireshark", "install", "--bogus"], "scapy-chitchat wireshark install"),
        (["replay", "--asap", "--rate", "1", "--to", "127.0.0.1:9", THREE], "scapy-chitchat replay"),
    ],
)
def test_an_error_names_the_help_of_its_command(arguments: list[str], help_of: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"see {help_of} -h\n")
    assert done.stderr.count("\n") == 1


# --- terminals ---


def on_terminal(*arguments: str, **environment: str) -> bytes:
    """What a command writes to a terminal."""
    master, slave = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", **environment}
    variables = {name: value for name, value in variables.items() if value}
    process = subprocess.Popen([*PROGRAM, *arguments], stdout=slave, stderr=slave, env=variables)
    os.close(slave)
    seen = b""
    try:
        while part := os.read(master, 65536):
            seen += part
    except OSError:
        pass  # the terminal's other end is closed
    process.wait()
    os.close(master)
    return seen


@pytest.mark.long
@pytest.mark.parametrize("arguments", [["read"], ["read", "-v"], ["read", "--findings"], ["read", "--summary"]])
def test_no_color_and_dumb_terminals_are_respected(arguments: list[str]) -> None:
    capture = str(PCAPS / "v0-bad-cluster.pcap")
    command = [*arguments, capture] if arguments[-1] != "--findings" else [*arguments, THREE]
    plain = [on_terminal(*command, NO_COLOR="1"), on_terminal(*command, TERM="dumb")]
    assert plain[0] == plain[1]
    assert b"\x1b" not in plain[0]
    if arguments[-1] != "--findings":
        assert b"\x1b[" in on_terminal(*command, NO_COLOR="")


# --- words ---


@pytest.mark.parametrize(
    ("number", "word", "plural", "text"),
    [
        (0, "key", "", "0 keys"),
        (1, "member", "", "1 member"),
        (1201, "key", "", "1,201 keys"),
        (2, "entry", "entries", "2 entries"),
    ],
)
def test_numbers_agree_with_what_they_count(number: int, word: str, plural: str, text: str) -> None:
    assert counted(number, word, plural) == text


# --- start and completion ---

COMPLETE = {"_SCAPY_CHITCHAT_COMPLETE": "complete_bash"}
"""How a shell asks for the words that complete its line."""


def test_the_version_needs_no_framework() -> None:
    script = (
        "import sys; sys.argv[1:] = ['--version']; from scapy_chitchat.cli import main; main(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "scapy_chitchat.cli" in loaded
    assert not loaded & {"scapy", "typer", "rich", "msgspec", "zstandard"}


@pytest.mark.parametrize(
    ("arguments", "environment", "scapy"),
    [
        (["read", "-h"], {}, False),
        ([], {**COMPLETE, "COMP_WORDS": "scapy-chitchat read --type Syn", "COMP_CWORD": "3"}, False),
        (["read", THREE], {}, True),
    ],
    ids=["help", "completion", "work"],
)
def test_help_and_completion_of_read_need_no_scapy(
    arguments: list[str], environment: dict[str, str], scapy: bool
) -> None:
    script = (
        "import atexit, sys; atexit.register(lambda: print('scapy' in sys.modules, file=sys.stderr)); "
        f"sys.argv[1:] = {arguments!r}; from scapy_chitchat.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    assert done.stdout
    assert done.stderr.splitlines()[-1] == str(scapy)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("re", {"read", "replay", "report"}),
        ("fuzz re", {"reproduce"}),
        ("read --st", {"--stats", "--status", "--stream-limit"}),
        ("read --type Syn", {"Syn", "SynAck"}),
        ("fuzz run --strategy se", {"sequences"}),
    ],
)
def test_the_shell_completes(words: str, offered: set[str]) -> None:
    line = f"scapy-chitchat {words}"
    last = str(len(line.split()) - 1)
    done = run(**COMPLETE, COMP_WORDS=line, COMP_CWORD=last)
    assert set(done.stdout.split()) == offered


def test_every_command_is_listed_with_the_first_sentence_of_its_help() -> None:
    listed = " ".join(help_of(width=200).split())
    for name, first in COMMANDS.items():
        assert f"{name} {first}" in listed
        assert first in " ".join(help_of(name, width=200).split())
