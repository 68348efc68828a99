"""Puts the browser libraries of the page into its folder again, with their licences.

    python scripts/vendor_page.py

What the npm registry sends is refused unless it is what was once looked at, byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).parent.parent / "distune/page/assets/vendor"
_REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True)
class Package:
    """A release on the npm registry, and which of its files are taken.

    Attributes:
        integrity: SHA-512 of the archive, in base64, as the registry names it.
        files: of the archive, each with its name here and its SHA-256.
    """

    name: str
    version: str
    integrity: str
    files: dict[str, tuple[str, str]]

    @property
    def address(self) -> str:
        return f"{_REGISTRY}/{self.name}/-/{self.name}-{self.version}.tgz"


PACKAGES = (
    Package(
        "echarts",
        "6.1.0",
        "q0yaFPggC9FUdsWH4blavRWFmxdrIodbkoKNAjJudAI6CA9gNPxHtV2RcZNEepZVlk4yvBYkOkbk6HIVpIyHZA==",
        {
            # Not echarts.common.min.js, which has neither parallel coordinates nor custom marks.
            "dist/echarts.min.js": (
                "echarts.min.js",
                "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0",
            ),
            "LICENSE": (
                "licenses/echarts.txt",
                "634293835b43a6dd2094fa39182a3d9a6b9ca43b7fdb9ac354e8037af2a3093a",
            ),
            "NOTICE": (
                "licenses/echarts-notice.txt",
                "d491d358344f842685c1b1585970999db65fe30ecf7ef3867af8814f4016c016",
            ),
            "licenses/LICENSE-d3": (
                "licenses/echarts-d3.txt",
                "e1211892da0b0e0585b7aebe8f98c1274fba15bafe47fa1f4ee8a7a502c06304",
            ),
        },
    ),
    Package(  # inside echarts.min.js, as tslib is
        "zrender",
        "6.1.0",
        "oEGMDB6pOP2S6OwRR4PdVv610zrjnA3Bh+JnSG12fYJlBKjtNAoEb5fSUoCOOINlH96I2fU38/A2UpRKs67xYQ==",
        {
            "LICENSE": (
                "licenses/zrender.txt",
                "a681e9d183c72b4af4856935893805eb48c08f0f5a3f260203db7444c20fb98a",
            )
        },
    ),
    Package(
        "tslib",
        "2.3.0",
        "N82ooyxVNm6h1riLCoyS9e3fuJ3AMG2zIZs2Gd1ATcSFjSA23Q0fzjjZeh0jbJvWVDZ0cJT8yaNNaaXHzueNjg==",
        {
            "LICENSE.txt": (
                "licenses/tslib.txt",
                "210b19e543130388c68654b7497e967119ce17145f66ab7d85688fbd70f08751",
            )
        },
    ),
    Package(
        "tabulator-tables",
        "6.5.3",
        "nJ2QaqZzQvd9B4rf4LBnRxfb6sSqA/BX2OsXnSJ2d8k21oXDSTtFtOUrDap04a/6BDGivC/MByCxy43ugadJIg==",
        {
            "dist/js/tabulator.min.js": (
                "tabulator.min.js",
                "ffac518cb793c672a2f0522b7fc80bf862234d96bb1e581c8aaf7f48f130eafa",
            ),
            "dist/css/tabulator.min.css": (
                "tabulator.min.css",
                "405ae24218357d80df2a5f3addf138666d035f970dac4ebdb0265d0b5373efcb",
            ),
            "LICENSE": (
                "licenses/tabulator.txt",
                "191a2ee554684e1064c897b432f0e1bc6dfa714ca045d3f6ea2cf692cbd398b7",
            ),
        },
    ),
    Package(
        "htm",
        "3.1.1",
        "983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        {
            "preact/standalone.umd.js": (
                "htm-preact.min.js",
                "62c4ffea400078c0eda7f435b22726b4961ebdf74c8506f188e92bec41d8ac51",
            ),
            "LICENSE": (
                "licenses/htm.txt",
                "740725f7252e750af735d0028cc534970772f513331e9f68150fede8fb3ce00f",
            ),
        },
    ),
    Package(  # inside htm-preact.min.js
        "preact",
        "10.26.0",
        "6ugi/Mb7lyV5RA6KlnijFyDLMU253i7L0RRiObIzDoqj59KT9iTeNJbA/YGw6M7jP4vxaab0DOA8DgodTOA6EQ==",
        {
            "LICENSE": (
                "licenses/preact.txt",
                "1fe6958409c8c257a70c587a18b6f7f412b179b456630790d30b2ec9a8e4b7d4",
            )
        },
    ),
)


def files_of(package: Package, archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Names here and contents.

    Raises:
        ValueError: the archive, or a file in it, is another than that which is named.
    """
    if base64.b64encode(hashlib.sha512(archive).digest()).decode() != package.integrity:
        raise ValueError(f"{package.address} is not what it was")
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for path, (name, sha256) in package.files.items():
            member = opened.extractfile(f"package/{path}")
            content = member.read() if member is not None else b""
            if hashlib.sha256(content).hexdigest() != sha256:
                raise ValueError(f"{path} of {package.address} is not what it was")
            yield name, content


def main() -> None:
    for package in PACKAGES:
        with urllib.request.urlopen(package.address, timeout=120) as answer:
            archive = answer.read()
        for name, content in files_of(package, archive):
            (VENDOR / name).parent.mkdir(parents=True, exist_ok=True)
            (VENDOR / name).write_bytes(content)
            print(f"{package.name} {package.version}: {name}, {len(content):,} bytes")


if __name__ == "__main__":
    main()
