"""A program of somebody else, for tests: enlarges PNGs by repeating pixels, or misbehaves as its last argument says.

It is run by itself (``python -S -E foreign.py IN OUT SCALE SEED MODE``), with nothing but the standard library.
"""

import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((abs(guess - v), i, v) for i, v in enumerate((left, up, corner)))[2]
    return (0, left, up, (left + up) // 2)[kind]


def decoded(data: bytes) -> list[bytes]:
    """The rows of an 8-bit RGB PNG."""
    held = list(chunks(data))
    width, height = struct.unpack(">II", held[0][1][:8])
    raw = zlib.decompress(b"".join(body for kind, body in held if kind == b"IDAT"))
    rows: list[bytes] = []
    above = bytes(width * 3)
    for y in range(height):
        start = y * (width * 3 + 1)
        row = bytearray(raw[start + 1 : start + 1 + width * 3])
        for i in range(width * 3):
            left, corner = (row[i - 3], above[i - 3]) if i >= 3 else (0, 0)
            row[i] = (row[i] + predicted(raw[start], left, above[i], corner)) % 256
        above = bytes(row)
        rows.append(above)
    return rows


def encoded(rows: list[bytes]) -> bytes:
    head = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def enlarged(rows: list[bytes], scale: int, seed: int) -> list[bytes]:
    """Every pixel repeated; the first carries the seed."""
    out = [b"".join(row[i : i + 3] * scale for i in range(0, len(row), 3)) for row in rows for _ in range(scale)]
    out[0] = bytes([seed % 251]) + out[0][1:]
    return out


def main(source: Path, target: Path, scale: int, seed: int, mode: str) -> int:
    target.mkdir(parents=True, exist_ok=True)
    print("told", scale, seed, os.environ.get("THEIRS"), os.environ.get("WORLD_SIZE"), Path.cwd().name, flush=True)
    mark = Path(os.environ.get("MARK", "unused"))
    if mode == "hang":
        time.sleep(600)
    for i, file in enumerate(sorted(source.glob("*.png"))):
        if mode == "fewer" and i >= 1:
            break
        if (mode == "crash" and i == 1) or (mode == "crash once" and i == 1 and not mark.exists()):
            mark.write_text("was here")
            print("RuntimeError: out of memory", flush=True)
            return 3
        rows = enlarged(decoded(file.read_bytes()), scale + (mode == "wrong size"), seed)
        data = encoded(rows)
        if mode == "garbage":
            data = b"this is no image"
        if mode == "half" and i == 1:
            data = data[: len(data) // 2]
        name = f"{file.stem}_restored" if mode == "renamed" else file.stem
        (target / f"{name}.png").write_bytes(data)
        if mode == "more":
            (target / f"{name}_preview.png").write_bytes(data)
        if mode == "killed" and i == 1:
            os.kill(os.getpid(), 9)
    return 4 if mode == "fails at last" else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
