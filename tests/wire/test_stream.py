# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks: cut, compressed and decompressed as a node does, judged by other zstd programs and by nodes' captures."""

from __future__ import annotations

import random
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard

from scapy_chitchat.wire.protocol import BLOCK_SIZE, MAX_BLOCK_OUTPUT, BlockType
from scapy_chitchat.wire.stream import ZstdError, compress_block, decompress_block, split_stream
from tests.support.legacy import legacy_frame

RANDOM = random.Random(1)
NOISE = RANDOM.randbytes(MAX_BLOCK_OUTPUT)
TEXT = b"the same words again and again, " * 3000


def frame(data: bytes, **options: int | bool) -> bytes:
    """A zstd frame by the other bindings, which use other calls."""
    return zstandard.ZstdCompressor(level=3, **options).compress(data)  # type: ignore[arg-type]


def unframed(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_BLOCK_OUTPUT)


@pytest.mark.parametrize("size", [100, 1000, BLOCK_SIZE])
def test_what_compresses_well_is_a_frame_that_others_can_read(size: int) -> None:
    kind, data = compress_block(TEXT[:size])
    assert kind == BlockType.Compressed
    assert unframed(data) == TEXT[:size]


@pytest.mark.parametrize("size", [1, 9, 100, BLOCK_SIZE])
def test_what_does_not_compress_stays_raw(size: int) -> None:
    assert compress_block(NOISE[:size]) == (BlockType.Uncompressed, NOISE[:size])


def test_saving_9_bytes_is_always_compressed_and_6_never() -> None:
    seen = set()
    for _ in range(4000):
        size = RANDOM.randrange(20, 300)
        data = NOISE[:size] + NOISE[: RANDOM.randrange(0, 40)]
        saved = len(data) - len(frame(data))
        kind, _ = compress_block(data)
        if saved >= 9:
            assert kind == BlockType.Compressed
        if saved <= 6:
            assert kind == BlockType.Uncompressed
        seen.add(saved)
    assert {5, 6, 7, 8, 9, 10} <= seen


@pytest.mark.parametrize(
    ("size", "blocks"),
    [
        (0, []),
        (1, [1]),
        (BLOCK_SIZE, [BLOCK_SIZE]),
        (BLOCK_SIZE + 1, [BLOCK_SIZE, 1]),
        (40000, [BLOCK_SIZE, BLOCK_SIZE, 7232]),
    ],
)
def test_a_stream_is_cut_into_blocks_of_16384_bytes(size: int, blocks: list[int]) -> None:
    stream = NOISE[:size]
    assert [len(data) for _, data in split_stream(stream)] == blocks
    assert b"".join(data for _, data in split_stream(stream)) == stream


LEGAL = {
    "a frame of zstd 0.7": (legacy_frame(b"old"), b"old"),
    "one frame": (frame(TEXT[:5000]), TEXT[:5000]),
    "two frames": (frame(b"one, ") + frame(b"two"), b"one, two"),
    "nothing": (b"", b""),
    "a skippable frame": (struct.pack("<II", 0x184D2A50, 3) + b"any" + frame(b"x"), b"x"),
    "a checksum": (frame(b"checked", write_checksum=True), b"checked"),
    "no content size": (frame(b"unsized", write_content_size=False), b"unsized"),
    "as much as a block may hold": (frame(NOISE), NOISE),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_a_node_decompresses(name: str) -> None:
    packed, data = LEGAL[name]
    assert decompress_block(packed) == data


def test_any_window_is_taken() -> None:
    # no content size, a window of 2^(10 + 21) bytes, the largest that libzstd has; one raw block of 2 bytes
    assert decompress_block(bytes.fromhex("28b52ffd 00 a8 110000 6869")) == b"hi"


REFUSED = {
    "no frame": b"not zstd",
    "half a frame": frame(TEXT[:5000])[:-3],
    "a frame and rubbish": frame(b"x") + b"y",
    "a wrong checksum": frame(b"checked", write_checksum=True)[:-1] + b"\xff",
    "one byte too much": frame(NOISE + b"!"),
    "two frames that are too much": frame(NOISE) + frame(b"!"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_node_refuses(name: str) -> None:
    with pytest.raises(ZstdError, match=r"\w"):
        decompress_block(REFUSED[name])


def test_threads_do_not_disturb_each_other() -> None:
    blocks = [NOISE[start : start + 3000] + TEXT[:3000] for start in range(0, 60000, 500)]
    packed = [compress_block(block)[1] for block in blocks]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(decompress_block, packed * 20)) == blocks * 20
        assert [data for _, data in pool.map(compress_block, blocks * 20)] == packed * 20
