"""The zip around a bundle, read as a stream and with limits, whoever made it: nothing is ever unpacked to a disk.

Only the plainest form of zip is a bundle: no comment, no ZIP64, no encryption, stored or deflated, each known name once.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Final

MIB: Final = 1 << 20
LARGEST_BUNDLE: Final = 2047 * MIB  # bytes of the file, and of all that it unpacks to
LARGEST_FILE: Final = 1024 * MIB
LARGEST_RECORD: Final = 8 * MIB  # bytes of one event, or of what is shown of it
MOST_EVENTS: Final = 500_000
LIMITS: Final[Mapping[str, int]] = {  # every name that a bundle may hold, with the most that it may unpack to
    "manifest.json": MIB,
    "checkpoint": MIB,
    "keys.json": MIB,
    "proofs.json": 16 * MIB,
    "leaves": 32 * MOST_EVENTS,
    "events": LARGEST_FILE,
    "disclosures": LARGEST_FILE,
    "edits.json": 8 * MIB,
    "index.html": LARGEST_FILE,
    "events.jsonl": LARGEST_FILE,
    "terminal.cast": LARGEST_FILE,
    "check.html": 4 * MIB,
}
OPTIONAL: Final = frozenset({"terminal.cast"})
_SIZE: Final = struct.Struct(">I")  # before each record
_END: Final = struct.Struct("<4s4H2LH")  # end of central directory record
_LOCAL: Final = struct.Struct("<4s5H3L2H")  # local file header
_PIECE: Final = 64 * 1024  # bytes; what is unpacked is still in the processor's cache when it is hashed
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class NotABundle(ValueError):
    """The file is no bundle that can be checked; the message says why."""


class Container:
    """A bundle's files. Raises NotABundle for anything that is not exactly what a bundle may be."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = size = file.seek(0, 2)
        if size > LARGEST_BUNDLE:
            raise NotABundle("the file is larger than a bundle may be")
        self._check_end(file, size)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
            raise NotABundle(f"the file is no readable zip ({error})") from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            self._check_entry(entry)
            self._entries[entry.filename] = entry
        if missing := LIMITS.keys() - OPTIONAL - self._entries.keys():
            raise NotABundle(f"the file {min(missing)} is missing in it")
        if sum(entry.file_size for entry in self._entries.values()) > LARGEST_BUNDLE:
            raise NotABundle("it unpacks to more than a bundle may hold")

    @staticmethod
    def _check_end(file: IO[bytes], size: int) -> None:
        """Look at the end before anything else does: a directory of a million names is never read."""
        file.seek(max(0, size - _END.size))
        end = file.read(_END.size)
        if len(end) < _END.size or end[:4] != b"PK\x05\x06":
            raise NotABundle("the file is no zip, or its end is missing")
        _, disk, first_disk, here, entries, directory, offset, comment = _END.unpack(end)
        if disk or first_disk or here != entries or comment or offset + directory + _END.size != size:
            raise NotABundle("the file's directory is not where a bundle has it")
        if entries > len(LIMITS) or directory > 64 * 1024:
            raise NotABundle(f"there are {entries} files in it, more than a bundle has")

    def _check_entry(self, entry: zipfile.ZipInfo) -> None:
        name = entry.orig_filename
        if name not in LIMITS:
            raise NotABundle(f"the file {name[:100]!r} does not belong into a bundle")
        if name in self._entries:
            raise NotABundle(f"the file {name} is in it twice")
        if entry.flag_bits & ~0x0806 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotABundle(f"the file {name} is packed in a way that a bundle does not use")
        if entry.file_size > LIMITS[name]:
            raise NotABundle(f"the file {name} unpacks to {entry.file_size} bytes, more than it may")

    def names(self) -> set[str]:
        """Return which files are there."""
        return set(self._entries)

    def read(self, name: str) -> bytes:
        """Return a small file."""
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield a file piece by piece; what unpacks to more or less than it declares is refused at once."""
        entry = self._entries[name]
        inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.compress_type == zipfile.ZIP_DEFLATED else None
        size, crc = 0, 0
        for packed in self._packed(entry):
            while packed:
                try:
                    piece = inflate.decompress(packed, _PIECE) if inflate is not None else packed
                except zlib.error as error:
                    raise NotABundle(f"the file {name} cannot be unpacked ({error})") from error
                packed = inflate.unconsumed_tail if inflate is not None else b""
                size += len(piece)
                crc = zlib.crc32(piece, crc)
                if size > entry.file_size or (inflate is not None and inflate.unused_data):
                    raise NotABundle(f"the file {name} unpacks to more than it declares")
                yield piece
        if size != entry.file_size or crc != entry.CRC or (inflate is not None and not inflate.eof):
            raise NotABundle(f"the file {name} does not unpack to what it declares")

    def _packed(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        self._file.seek(entry.header_offset)
        header = self._file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
            raise NotABundle(f"the file {entry.filename} is not where the directory has it")
        name, extra = _LOCAL.unpack(header)[-2:]
        if self._file.read(name) != entry.filename.encode():
            raise NotABundle(f"the file {entry.filename} has another name in its own header")
        at, end = entry.header_offset + _LOCAL.size + name + extra, self._size
        left = entry.compress_size
        if at + left > end:
            raise NotABundle(f"the file {entry.filename} is cut off")
        while left:
            self._file.seek(at)
            piece = self._file.read(min(_PIECE, left))
            at, left = at + len(piece), left - len(piece)
            yield piece

    def records(self, name: str) -> Iterator[bytes]:
        """Yield a file's records: each has its length before it, 4 bytes, big-endian."""
        kept, needed, size_at = bytearray(), _SIZE.size, _SIZE.unpack_from
        for piece in self.pieces(name):
            kept += piece
            if len(kept) < needed:
                continue
            data, start, end = bytes(kept), 0, _SIZE.size  # slices of bytes cost less than those of a bytearray
            while end <= len(data):
                (size,) = size_at(data, start)
                if size > LARGEST_RECORD:
                    raise NotABundle(f"a record of the file {name} is larger than it may be")
                if end + size > len(data):
                    end += size
                    break
                yield data[end : end + size]
                start = end + size
                end = start + _SIZE.size
            needed = end - start
            del kept[:start]
        if kept:
            raise NotABundle(f"the file {name} ends within a record")


def record(data: bytes) -> bytes:
    """Return a record with its length before it."""
    return _SIZE.pack(len(data)) + data


def pack(into: IO[bytes], files: Iterable[tuple[str, IO[bytes]]]) -> None:
    """Write the zip from the files' streams."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as packed:
        for name, stream in files:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            stream.seek(0)
            with packed.open(entry, "w") as out:
                while piece := stream.read(_PIECE):
                    out.write(piece)
