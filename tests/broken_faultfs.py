"""A program: faultfs, but with a file system that no protocol could run on.

It is started like faultfs itself; `BROKEN` in the environment says how it is broken:

    copies        a rename leaves the old name there
    late-copies   a rename leaves the old name there for half a second
    truncates     a rename gives its target only half of the content
    forgets       every third rename loses the file
    shouts        every new name is made of capital letters
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import struct
import sys
import threading
from typing import Any

_count = itertools.count(1)


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("faultfs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _names(faultfs: Any, body: Any) -> list[str]:
    return list(faultfs.cut(body[8:]))


def main() -> None:
    faultfs = _load(os.environ["FAULTFS"])
    server = faultfs.FaultServer
    how = os.environ["BROKEN"]
    rename, lookup, create = server.op_rename, server.op_lookup, server.op_create

    def copying(self: Any, header: Any, body: Any, node: Any) -> None:
        target = self.nodes[struct.unpack_from("<Q", body)[0]]
        old, new = _names(faultfs, body)
        os.link(old, new, src_dir_fd=node.fd, dst_dir_fd=target.fd)
        self.changed(node, target)
        if how == "late-copies":
            source = os.open(f"/proc/self/fd/{node.fd}", os.O_RDONLY)
            threading.Timer(0.5, _unlink, (old, source)).start()

    def truncating(self: Any, header: Any, body: Any, node: Any) -> None:
        target = self.nodes[struct.unpack_from("<Q", body)[0]]
        rename(self, header, body, node)
        path = f"/proc/self/fd/{target.fd}/{_names(faultfs, body)[1]}"
        os.truncate(path, os.stat(path).st_size // 2)

    def forgetting(self: Any, header: Any, body: Any, node: Any) -> None:
        target = self.nodes[struct.unpack_from("<Q", body)[0]]
        rename(self, header, body, node)
        if next(_count) % 3 == 0:
            os.unlink(_names(faultfs, body)[1], dir_fd=target.fd)

    def shouted(body: Any) -> Any:
        head, name = (body[:16], body[16:]) if len(body) > 16 else (body[:0], body)
        return memoryview(bytes(head) + bytes(name).upper())

    if how in ("copies", "late-copies"):
        server.op_rename = copying
    elif how == "truncates":
        server.op_rename = truncating
    elif how == "forgets":
        server.op_rename = forgetting
    elif how == "shouts":
        server.op_create = lambda self, header, body, node: create(
            self, header, memoryview(bytes(body[:16]) + bytes(body[16:]).upper()), node
        )
        server.op_lookup = lambda self, header, body, node: _either(
            lookup, self, header, body, node
        )
    else:
        sys.exit(f"BROKEN={how}?")
    faultfs.main()


def _either(lookup: Any, self: Any, header: Any, body: Any, node: Any) -> Any:
    """A name in its own letters or in capitals."""
    try:
        return lookup(self, header, body, node)
    except FileNotFoundError:
        return lookup(self, header, memoryview(bytes(body).upper()), node)


def _unlink(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    os.close(folder)


if __name__ == "__main__":
    main()
