"""The page and a study's data in one file, which loads nothing and lets nothing be loaded."""

import base64
import hashlib
import html
from typing import Any

import msgspec

from distune.page.files import SCRIPTS, STYLES, page_files


def frozen_page(title: str, data: dict[str, Any]) -> str:
    """A page that draws `data`, as `source.js` takes it: a script that its policy does not let
    run, since that has the hashes of the page's own ones alone.
    """
    there = page_files()
    scripts = [there[name].decode() for name in SCRIPTS]
    hashes = " ".join(map(_hash, scripts))
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    # What ends a script ends it wherever it stands, also within a text of the data.
    text = msgspec.json.encode(data).decode().replace("<", "\\u003c")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f"<title>{html.escape(title)}</title>",
            *(f"<style>{there[name].decode()}</style>" for name in STYLES),
            '</head>\n<body>\n<div id="page"></div>',
            "<noscript>This report draws with JavaScript, which is switched off.</noscript>",
            f'<script id="data" type="application/json">{text}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body>\n</html>\n",
        ]
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
