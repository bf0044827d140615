# SPDX-License-Identifier: GPL-2.0-or-later
"""zstd as a chitchat node uses it: one block, one call.

A node compresses each block with ``ZSTD_compress2`` into a buffer exactly as long as the block and keeps the block raw
when that call fails, and it decompresses with ``ZSTD_decompressDCtx`` into 65,535 bytes. zstd wants slack at the end of
its output, so neither "smaller" nor a margin of some bytes says when the first call fails; and only the second call
takes several frames, skippable frames, an empty block and windows of any size the way a node does. So this module makes
those very calls, through the cffi bindings that python-zstandard ships. They carry libzstd 1.5.7, as the crate does.

Contexts and the output buffer are kept for each thread: the calls release the interpreter lock.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import zstandard.backend_cffi as zstd

from scapy_chitchat.described.fields import UnpackError
from scapy_chitchat.wire.protocol import BLOCK_SIZE, MAX_BLOCK_OUTPUT, ZSTD_LEVEL, BlockType

ffi: Any = zstd.ffi  # type: ignore[attr-defined]
lib: Any = zstd.lib  # type: ignore[attr-defined]


class ZstdError(UnpackError):
    """libzstd refused a compressed block; the message is libzstd's own reason."""


class _Contexts(threading.local):
    def __init__(self) -> None:
        self.output: Any = ffi.new("char[]", MAX_BLOCK_OUTPUT)
        self.view: Any = ffi.buffer(self.output)
        self.reader: Any = ffi.gc(lib.ZSTD_createDCtx(), lib.ZSTD_freeDCtx)
        self.writer: Any = ffi.gc(lib.ZSTD_createCCtx(), lib.ZSTD_freeCCtx)
        lib.ZSTD_CCtx_setParameter(self.writer, lib.ZSTD_c_compressionLevel, ZSTD_LEVEL)


_contexts = _Contexts()
_read = lib.ZSTD_decompressDCtx
_write = lib.ZSTD_compress2


def decompress_block(data: bytes) -> bytes:
    """The bytes of one compressed block, at most 65,535.

    Raises ZstdError when a node would refuse the block.
    """
    mine = _contexts
    size = _read(mine.reader, mine.output, MAX_BLOCK_OUTPUT, data, len(data))
    if size > MAX_BLOCK_OUTPUT:  # libzstd's error codes are the highest values of size_t
        if _LEGACY_MAGIC.search(data):
            return _decompress_legacy(data)
        raise ZstdError(ffi.string(lib.ZSTD_getErrorName(size)).decode())
    return mine.view[:size]  # type: ignore[no-any-return]


_LEGACY_MAGIC = re.compile(rb"[\x1e\x22-\x27]\xb5\x2f\xfd")


def _decompress_legacy(data: bytes) -> bytes:
    """A block with a frame of zstd before 0.8.

    The crate's libzstd is built to read those too, python-zstandard's is not; cramjam wraps the same Rust crate.
    """
    import cramjam

    output = bytearray(MAX_BLOCK_OUTPUT)
    try:
        size = cramjam.zstd.decompress_into(data, output)
    except cramjam.DecompressionError as error:
        raise ZstdError(str(error)) from None
    return bytes(output[:size])


def compress_block(data: bytes) -> tuple[BlockType, bytes]:
    """One block as a node writes it: its type and its bytes, compressed where that fits in ``len(data)`` bytes."""
    mine = _contexts
    size = _write(mine.writer, mine.output, len(data), data, len(data))
    if size > len(data):
        return BlockType.Uncompressed, data
    return BlockType.Compressed, mine.view[:size]


def split_stream(stream: bytes) -> list[tuple[BlockType, bytes]]:
    """A stream of items as a node's blocks, without the closing block of type 0."""
    return [compress_block(stream[start : start + BLOCK_SIZE]) for start in range(0, len(stream), BLOCK_SIZE)]
