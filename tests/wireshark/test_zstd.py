# SPDX-License-Identifier: GPL-2.0-or-later
"""The Lua zstd decoder against libzstd, called as a chitchat node calls it: one shot, 65,535 bytes of room.

Every test runs on each Lua interpreter that is installed, in one process per batch of frames. The frames are made here,
from seeds: by libzstd, by hand, and by mutation of both.
"""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cffi", reason="libzstd is called through python-zstandard's cffi backend")
zstandard = pytest.importorskip("zstandard", reason="libzstd is called through python-zstandard")
from scapy_chitchat.wire.stream import ffi, lib  # noqa: E402

ZSTD_LUA = Path(__file__).parents[2] / "scapy_chitchat" / "wireshark" / "zstd.lua"
DRIVER = Path(__file__).with_name("zstd_driver.lua")
LIMIT = 65_535
MAGIC = bytes.fromhex("28b52ffd")
INTERPRETERS = [name for name in ("lua5.1", "luajit", "lua5.2", "lua5.3", "lua5.4") if shutil.which(name)]

Outcome = tuple[bool, bytes]


@pytest.fixture(params=INTERPRETERS or [""])
def lua(request: pytest.FixtureRequest) -> str:
    if not request.param:
        pytest.skip("no Lua interpreter is installed: lua5.1, luajit, lua5.2, lua5.3 or lua5.4 is needed")
    interpreter: str = request.param
    return interpreter


def outcomes_in_lua(lua: str, inputs: list[bytes], limit: int = LIMIT) -> list[Outcome]:
    """Verdict and content (or reason) of the Lua decoder for each input."""
    sent = b"".join(struct.pack("<I", len(data)) + data for data in inputs)
    command = [lua, str(DRIVER), str(ZSTD_LUA), str(limit)]
    received = subprocess.run(command, input=sent, capture_output=True, check=True, timeout=300).stdout
    outcomes, at = [], 0
    while at < len(received):
        (length,) = struct.unpack_from("<I", received, at + 1)
        outcomes.append((received[at] == 1, received[at + 5 : at + 5 + length]))
        at += 5 + length
    return outcomes


def outcome_in_libzstd(data: bytes, limit: int = LIMIT) -> Outcome:
    context = ffi.gc(lib.ZSTD_createDCtx(), lib.ZSTD_freeDCtx)
    room = ffi.new("char[]", max(limit, 1))
    result = lib.ZSTD_decompressDCtx(context, room, limit, data, len(data))
    if lib.ZSTD_isError(result):
        return False, ffi.string(lib.ZSTD_getErrorName(result))
    return True, ffi.buffer(room, result)[:]


def assert_same_outcomes(lua: str, inputs: list[bytes], limit: int = LIMIT) -> list[Outcome]:
    """The same verdict and the same bytes as libzstd's, and never a Lua error; gives the outcomes."""
    outcomes = outcomes_in_lua(lua, inputs, limit)
    assert len(outcomes) == len(inputs)
    for data, (accepted, content) in zip(inputs, outcomes, strict=True):
        reference_accepted, reference_content = outcome_in_libzstd(data, limit)
        context = (data[:64].hex(), len(data), content[:64], reference_content[:64])
        assert accepted == reference_accepted, context
        if accepted:
            assert content == reference_content, context
        else:
            assert not re.search(rb":\d+:", content), context
    return outcomes


# Frames made by libzstd


def structured(rng: random.Random, size: int) -> bytes:
    """Bytes of one of several natures: random, of few symbols, text, records, runs, repetitive."""
    nature = rng.randrange(7)
    if nature == 0:
        return rng.randbytes(size)
    if nature == 1:
        symbols = rng.sample(range(256), rng.choice([2, 5, 16, 90]))
        weights = [(index + 1) ** -1.5 for index in range(len(symbols))]
        return bytes(rng.choices(symbols, weights, k=size))
    if nature == 2:
        words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz_.", k=rng.randint(2, 12))) for _ in range(150)]
        return b" ".join(rng.choice(words) for _ in range(size // 3 + 1))[:size]
    if nature == 3:
        records = (b"\x01\x09\0node-%04d" % rng.randrange(9999) + rng.randbytes(4) for _ in range(size // 16 + 1))
        return b"".join(records)[:size]
    if nature == 4:
        return (rng.randbytes(rng.randint(1, 300)) * (size + 1))[:size]
    if nature == 5:
        return bytes([rng.randrange(256)]) * size
    made = bytearray(b"seed")
    while len(made) < size:
        start = rng.randrange(len(made))
        made += made[start : start + rng.randint(3, 400)] if rng.random() < 0.6 else rng.randbytes(rng.randint(1, 30))
    return bytes(made[:size])


def flushed_frame(rng: random.Random, data: bytes, compressor: Any) -> bytes:
    """A frame of many blocks: raw, RLE and compressed ones that repeat earlier tables."""
    stream, frame, at = compressor.compressobj(), b"", 0
    while at < len(data):
        step = rng.choice([rng.randint(1, 250), rng.randint(1, 3000), rng.randint(1, 20_000)])
        frame += stream.compress(data[at : at + step]) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        at += step
    flushed: bytes = frame + stream.flush()
    return flushed


def skippable_frame(rng: random.Random) -> bytes:
    return struct.pack("<II", 0x184D2A50 + rng.randrange(16), 7) + rng.randbytes(7)


def valid_frames(seed: int, count: int, largest: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(count):
        data = structured(rng, rng.choice([rng.randrange(60), rng.randrange(2000), rng.randrange(largest + 1)]))
        level = rng.choice([-7, -1, 1, 3, 3, 3, 5, 9, 16, 19])
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level,
            window_log=rng.randint(10, 20),
            enable_ldm=rng.random() < 0.2,
            write_checksum=rng.random() < 0.3,
            write_content_size=rng.random() < 0.7,
        )
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        yield compressor.compress(data) if rng.random() < 0.4 else flushed_frame(rng, data, compressor)


def test_frames_of_every_level_and_many_sizes_come_back(lua: str) -> None:
    rng = random.Random(1)
    contents = [
        structured(rng, size)
        for size in (0, 1, 2, 17, 255, 256, 1000, 4096, 16_384, rng.randrange(65_536), 65_535)
        for _ in range(3)
    ]
    levels = [level for level in range(-7, 23) if level != 0]
    inputs = [
        zstandard.ZstdCompressor(level=level).compress(content)
        for level, content in zip(levels * 2, contents * 2, strict=False)
    ]
    outcomes = assert_same_outcomes(lua, inputs)
    assert outcomes == [(True, content) for content, _ in zip(contents * 2, levels * 2, strict=False)]


@pytest.mark.long
def test_frames_of_many_blocks_windows_and_options_come_back(lua: str) -> None:
    assert all(accepted for accepted, _ in assert_same_outcomes(lua, list(valid_frames(2, 150, 65_535))))


@pytest.mark.long
def test_frames_in_a_row_skippable_frames_and_nothing_are_legal(lua: str) -> None:
    rng = random.Random(3)
    frames = list(valid_frames(4, 40, 3000))
    inputs = [b"", skippable_frame(rng), skippable_frame(rng) * 2]
    for _ in range(40):
        inputs.append(b"".join(rng.choice([rng.choice(frames), skippable_frame(rng)]) for _ in range(3)))
    assert all(accepted for accepted, _ in assert_same_outcomes(lua, inputs))


@pytest.mark.parametrize("limit", [0, 1, 999, 1000, 1001, 16_384, 65_536])
def test_output_up_to_the_limit_is_given_and_more_is_refused(lua: str, limit: int) -> None:
    rng = random.Random(5)
    compressors = [zstandard.ZstdCompressor(level=3, write_content_size=told) for told in (True, False)]
    contents = [structured(rng, size) for size in (0, 1, 999, 1000, 1001, 16_384, 16_385) for _ in range(4)]
    assert_same_outcomes(
        lua, [compressor.compress(content) for content in contents for compressor in compressors], limit
    )


def test_a_wrong_checksum_is_refused(lua: str) -> None:
    rng = random.Random(6)
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    frames = [compressor.compress(structured(rng, size)) for size in [*range(70), 1000, 40_000]]
    wrong = [frame[:-1] + bytes([frame[-1] ^ 1]) for frame in frames]
    assert all(accepted for accepted, _ in assert_same_outcomes(lua, frames))
    assert {reason for _, reason in assert_same_outcomes(lua, wrong)} == {b"checksum mismatch"}


# Frames made by hand


def frame_of(block: bytes, *, kind: int = 2, size: int | None = None, window: int = 0x38) -> bytes:
    """A frame of one block, without content size. `kind`: 0 raw, 1 RLE, 2 compressed."""
    header = (len(block) if size is None else size) << 3 | kind << 1 | 1
    return MAGIC + bytes([0, window]) + header.to_bytes(3, "little") + block


def one_long_match(match_length: int, *, window: int, literals: bytes, rle_literals: bool) -> bytes:
    """One sequence, of RLE tables: the literals, then their last byte again and again (code 46: 1,027 and ten bits)."""
    section = bytes([len(literals) << 3 | rle_literals]) + (literals[:1] if rle_literals else literals)
    bits = (1 << 10 | (match_length - 1027)).to_bytes(2, "little")
    return frame_of(section + bytes([1, 0b01010100, len(literals), 0, 46]) + bits, window=window)


def test_places_where_libzstd_differs_from_the_rfc_follow_libzstd(lua: str) -> None:
    unknown_size = MAGIC + bytes([0xC0, 0x38]) + b"\xff" * 8 + (5 << 3 | 1).to_bytes(3, "little") + b"hello"
    inputs = [
        unknown_size,  # eight bytes of 255 are libzstd's "no content size"
        frame_of(b"q", kind=1, size=5000, window=0),  # an RLE block above the window
        frame_of(bytes(5000), kind=0, window=0),  # a raw block above the window
        *(frame_of(b"abc", kind=0, window=window) for window in range(0, 256, 5)),  # windows of 2^32 bytes and more
        frame_of(b""),  # compressed blocks below the smallest
        frame_of(b"\0"),
        frame_of(b"\0\0"),
        frame_of(b"\0\x80\0"),  # no sequences, counted in two bytes
        frame_of(b"\0\0\0"),  # bytes after no sequences
    ]
    for match_length in range(1027, 1070):  # output beyond the largest block, by up to 32 bytes
        for literals in (b"x", b"0123456789"):
            for rle in (False, True):
                inputs.append(one_long_match(match_length, window=0, literals=literals, rle_literals=rle))
    outcomes = assert_same_outcomes(lua, inputs)
    assert outcomes[0] == (True, b"hello")
    assert {accepted for accepted, _ in outcomes} == {True, False}


def test_literals_of_one_repeated_byte_are_decoded(lua: str) -> None:
    inputs = [
        frame_of((count << 4 | 0b1101).to_bytes(3, "little") + b"x\0") for count in (0, 1, 31, 4096, 65_535, 65_536)
    ]
    assert [accepted for accepted, _ in assert_same_outcomes(lua, inputs)] == [True] * 5 + [False]


def test_dictionaries_are_refused_unless_their_id_is_zero(lua: str) -> None:
    inputs = [
        MAGIC + bytes([0x20 | flag]) + identifier + bytes([3]) + (3 << 3 | 1).to_bytes(3, "little") + b"abc"
        for flag, identifiers in ((1, (b"\0", b"\1")), (2, (b"\0\0", b"\0\1")), (3, (b"\0\0\0\0", b"\0\0\0\1")))
        for identifier in identifiers
    ]
    assert [accepted for accepted, _ in assert_same_outcomes(lua, inputs)] == [True, False] * 3


def test_every_prefix_of_a_frame_is_refused(lua: str) -> None:
    frame = flushed_frame(
        random.Random(7), structured(random.Random(8), 900), zstandard.ZstdCompressor(write_checksum=True)
    )
    outcomes = assert_same_outcomes(lua, [frame[:size] for size in range(1, len(frame) + 1)])
    assert [accepted for accepted, _ in outcomes] == [False] * (len(frame) - 1) + [True]


# Mutated frames


def blocks_of(frame: bytes) -> list[tuple[int, int]]:
    """Where the compressed blocks of a frame are: index of the header, size."""
    descriptor = frame[4]
    single = descriptor >> 5 & 1
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[descriptor >> 6]
    blocks, last = [], 0
    while not last:
        header = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind == 2:
            blocks.append((at, size))
        at += 3 + (1 if kind == 1 else size)
    return blocks


def mutate_anywhere(rng: random.Random, frame: bytes) -> bytes:
    mutated = bytearray(frame)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(min(len(mutated), rng.choice([12, 40, 100_000])))
        change = rng.randrange(5)
        if change == 0:
            mutated[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            mutated[at] = rng.choice([0, 1, 127, 128, 255])
        elif change == 2:
            mutated[at:at] = rng.randbytes(rng.randint(1, 4))
        elif change == 3 and len(mutated) > at + 5:
            del mutated[at : at + rng.randint(1, 4)]
        elif at > 0:
            del mutated[at:]
    return bytes(mutated)


def mutate_blocks(rng: random.Random, frame: bytes) -> bytes:
    """Changes bytes inside compressed blocks, so that the decoder gets far; drops the checksum, to compare bytes."""
    mutated = bytearray(frame)
    if mutated[4] & 4:
        mutated[4] &= ~4
        del mutated[-4:]
    blocks = blocks_of(frame)
    for _ in range(rng.choice([1, 1, 2, 4]) if blocks else 0):
        start, size = rng.choice(blocks)
        reach = min(size, rng.choice([3, 12, 100, size]))
        at = start + 3 + (rng.randrange(reach) if rng.random() < 0.8 else size - 1 - rng.randrange(reach))
        mutated[at] = rng.choice([mutated[at] ^ 1 << rng.randrange(8), 0, 1, 127, 128, 255, rng.randrange(256)])
    return bytes(mutated)


def libzstd_reads_on_after_huffman_streams() -> bool:
    """Whether libzstd runs its fast Huffman decoder here, which zstd.lua follows: not on an x86-64 without BMI2.

    A stream whose start is moved a byte up is read beyond that start: the fast decoder alone can accept it.
    """
    frame = zstandard.ZstdCompressor(level=1).compress(bytes(random.Random(9).choices(b"abcdefgh", k=4000)))
    (start, _size), *_ = blocks_of(frame)
    table = start + 3 + (3 if frame[start + 3] >> 2 & 3 < 2 else (frame[start + 3] >> 2 & 3) + 2)
    weights = frame[table]
    jump = table + 1 + (weights if weights < 128 else (weights - 126) // 2)
    for stream in (0, 1):
        moved = bytearray(frame)
        sizes = list(struct.unpack_from("<3H", moved, jump))
        sizes[stream] += 1
        sizes[stream + 1] -= 1
        struct.pack_into("<3H", moved, jump, *sizes)
        if outcome_in_libzstd(bytes(moved))[0]:
            return True
    return False


@pytest.mark.long
@pytest.mark.parametrize("mutate", [mutate_anywhere, mutate_blocks])
def test_mutated_frames_get_the_verdict_and_bytes_of_libzstd(
    lua: str, mutate: Callable[[random.Random, bytes], bytes]
) -> None:
    if not libzstd_reads_on_after_huffman_streams():
        pytest.skip("libzstd decodes Huffman streams strictly on this processor, as other nodes' do not")
    rng = random.Random(10)
    frames = list(valid_frames(11, 200, 8000))
    outcomes = assert_same_outcomes(lua, [mutate(rng, rng.choice(frames)) for _ in range(2500)])
    accepted = sum(accepted for accepted, _ in outcomes)
    assert 100 < accepted < 2400  # both kinds were tested


# The source


def test_the_source_parses_on_every_lua_version() -> None:
    """One of them may be installed alone: nothing in the source belongs to some versions only."""
    code = re.sub(r'--[^\n]*|"(\\.|[^"\\])*"', "", ZSTD_LUA.read_text(encoding="utf-8"))
    assert not re.search(r"//|&|\||~(?!=)|<<|>>|\bgoto\b|\bbit32\b|<const>|<close>", code)
