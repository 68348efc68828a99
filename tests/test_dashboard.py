"""`distune dashboard`: what the server answers, to whom, and what it costs the share."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import re
import shutil
import signal
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from distune.dashboard import streaming, watching
from distune.dashboard.app import Dashboard
from distune.dashboard.guard import Guard
from distune.dashboard.overview import Overview
from distune.dashboard.streaming import Reader, Stream, messages
from distune.dashboard.watching import Studies, Watched
from distune.page.columns import as_columns
from distune.page.files import page_files
from distune.share import protocol, records
from distune.share.find_studies import find_studies
from distune.share.store import Store
from distune.study.study import Study
from distune.study.trial import Counted, Failure, Outcome, Output
from distune.watch.snapshot import Snapshot
from scripts.vendor_page import PACKAGES, VENDOR
from tests.conftest import Lab, wait_until
from tests.histories import append_history, counted, study, write_study
from tests.memory_folder import Faults, MemoryFolder, Share

PATIENCE = 60.0  # seconds
SPACE: dict[str, Any] = {
    "objective": "train:train",
    "params": {"x": {"type": "float", "low": 0, "high": 1}, "kind": ["a", "b"]},
    "metric": "loss",
    "direction": "minimize",
}


def a_study(name: str = "digits", **fields: Any) -> Study:
    return study(name, **{**SPACE, **fields})


def trials(many: int, first: int = 0) -> list[Counted]:
    return [
        counted(number, {"x": number / 100, "kind": "a"}, number / 100, elapsed=2.0 * number)
        for number in range(first, first + many)
    ]


def written(lab: Lab, name: str = "digits", many: int = 5) -> Store:
    return write_study(lab.logs / name, a_study(name), trials(many), {})


def rows_of(table: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """What `as_columns` has made columns of; `source.js` does the same."""
    rows: list[dict[str, Any]] = [{} for _ in table["keys"]]
    _fill(rows, table["columns"])
    return dict(zip(table["keys"], rows, strict=True))


def _fill(rows: list[dict[str, Any]], columns: Mapping[str, Any]) -> None:
    for name, column in columns.items():
        inside: list[dict[str, Any]] = [{} for _ in rows]
        missing = set(column.get("not", ()))
        for i, row in enumerate(rows):
            if i in missing or ("at" in column and column["at"][i] < 0):
                continue
            if "each" in column:
                row[name] = inside[i]
            elif "is" in column:
                row[name] = column["is"][i]
            else:
                row[name] = column["of"][column["at"][i]] if "at" in column else column["all"]
        if "each" in column:
            _fill(inside, column["each"])


class Server:
    """A dashboard that runs, and how it is asked."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self.lab = lab
        arguments = ["--logs", str(lab.logs), "--port", "0", *options]
        self.process = lab.start("dashboard", *arguments)
        lab.wait_for_words(self.process, "http://")
        found = re.search(r"http://(\S+):(\d+)/(\?token=(\S+))?", lab.log_of(self.process))
        assert found is not None
        self.host, self.port, self.token = found[1], int(found[2]), found[4]
        self.sent: dict[str, str] = {"Host": f"127.0.0.1:{self.port}"}

    @contextmanager
    def asked(
        self, path: str, method: str = "GET", body: bytes = b"", /, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**self.sent, "Content-Length": str(len(body)), **headers}.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def status(self, path: str, method: str = "GET", body: bytes = b"", /, **headers: str) -> int:
        with self.asked(path, method, body, **headers) as answer:
            return answer.status

    def json(self, path: str, /, **headers: str) -> Any:
        with self.asked(path, **headers) as answer:
            assert answer.status == 200, (path, answer.status)
            return json.loads(answer.read())

    def row(self, name: str) -> dict[str, Any]:
        (found,) = [one for one in self.json("/api/studies")["studies"] if one["name"] == name]
        return dict(found)

    def follow(self, *names: str, **headers: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Messages of studies, with their names, as they come; to be closed."""
        query = "&".join(f"study={name}" for name in names)
        with self.asked(f"/api/events?{query}", **headers) as answer:
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/event-stream"
            data = []
            for line in answer:
                if line.startswith(b"data: "):
                    data.append(line[6:].strip())
                elif data:
                    message, name = data
                    yield name.decode(), json.loads(message)
                    data = []


@pytest.fixture
def server(lab: Lab) -> Server:
    written(lab)
    return Server(lab)


ADDRESSES = (
    *("/", "/assets/page.js", "/assets/none.js", "/api/studies", "/api/events?study=none"),
    *("/api/studies/digits/curves", "/api/studies/digits/importance", "/api/nothing"),
    *("/api/studies/digits/trials/1", "/api/studies/digits/trials/99", "/api/studies/none/curves"),
)


# -- who may ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "localhost.evil.example"])
def test_a_name_that_is_not_this_hosts_is_refused(server: Server, host: str) -> None:
    assert server.status("/api/studies", Host=host) == 421
    assert server.status("/", Host=host) == 421


def test_this_host_may_be_called_by_its_address_and_through_a_tunnel(server: Server) -> None:
    for host in (f"localhost:{server.port}", "localhost:9999", "127.0.0.1", "[::1]:8265"):
        assert server.status("/api/studies", Host=host) == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://localhost:1"])
def test_what_another_page_wants_changed_is_refused(server: Server, origin: str) -> None:
    own = server.sent["Host"]
    assert server.status("/api/studies", "POST", b"", Origin=origin) == 403
    assert server.status("/api/studies", "POST") == 403
    assert server.status("/api/studies", "POST", b"", Origin=f"http://{own}") == 405


def test_every_answer_has_the_policy_that_a_browser_holds_it_to(server: Server) -> None:
    for path in ADDRESSES:
        for host in ("localhost", "evil.example"):
            with server.asked(path, Host=host) as answer:
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'; script-src 'self';" in policy, path
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["referrer-policy"] == "no-referrer"


def test_on_an_address_that_others_reach_a_token_is_asked_for(lab: Lab) -> None:
    written(lab)
    server = Server(lab, "--host", "0.0.0.0")
    assert server.host == socket.gethostname()
    assert len(server.token) >= 32
    for path in ADDRESSES:
        assert server.status(path) == 401, path
        assert server.status(path, Authorization="Bearer guess") == 401
    assert server.status("/?token=guess") == 401
    with server.asked(f"/?token={server.token}") as answer:
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    name, _, value = cookie.partition(";")[0].partition("=")
    assert server.json("/api/studies", Cookie=f"{name}={value}")["studies"]
    assert server.status("/api/studies", Cookie=f"{name}=guess") == 401
    assert server.json("/api/studies", Authorization=f"Bearer {server.token}")["studies"]


def test_a_token_is_compared_without_telling_how_much_of_it_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []

    def compare(given: bytes, token: bytes) -> bool:
        compared.append((given, token))
        return given == token

    monkeypatch.setattr("hmac.compare_digest", compare)
    guard = Guard(lambda *asked: None, {"localhost"}, "t")  # type: ignore[arg-type]
    assert guard._is_token("t")
    assert not guard._is_token("\N{SNOWMAN}")
    assert compared == [(b"t", b"t"), ("\N{SNOWMAN}".encode(), b"t")]


def test_where_nothing_can_listen_it_says_so_and_exits_with_2(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = lab.run("dashboard", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "choose another --port" in done.stderr
    assert lab.run("dashboard", "--host", "no.such.host.invalid").returncode == 2


def test_without_the_extra_it_says_how_to_install_it(lab: Lab) -> None:
    hidden = lab.folder / "hidden"
    hidden.mkdir()
    (hidden / "starlette.py").write_text("raise ImportError('No module named starlette')")
    code = (
        f"import sys; sys.path.insert(0, {str(hidden)!r}); sys.argv = ['distune', 'dashboard']\n"
        "from distune.cli import main; main()"
    )
    process = lab.start_program(["python", "-c", code])
    assert process.wait(PATIENCE) == 2
    assert "pip install 'distune[dashboard]'" in lab.log_of(process)


# -- what may be asked for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../app.py", "/assets/%2e%2e/files.py", "/assets/..%2f..%2fpyproject.toml",
        "/assets//etc/passwd", "/assets/%2Fetc%2Fpasswd", "/assets/vendor", "/assets/",
        "/api/studies/../curves", "/api/studies/%2e%2e/curves", "/api/studies/..%2fdigits/curves",
        "/api/studies/digits%2f..%2fdigits/curves", "/api/studies/digits%00/curves",
        "/api/studies/./curves", "/api/studies//curves", "/api/studies/digits/trials/-1",
        "/api/studies/digits/trials/..%2f1", "/api/events?study=..", "/api/events?study=../digits",
    ],
)  # fmt: skip
def test_no_path_from_a_request_reaches_the_file_system(server: Server, path: str) -> None:
    assert server.status(path) == 404


def test_looking_changes_nothing_in_the_folder(server: Server, lab: Lab) -> None:
    def contents() -> dict[str, Any]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
            for path in lab.logs.rglob("*")
        }

    before = contents()
    assert len(before) > 10
    for path in ADDRESSES:
        server.status(path)
    for _, message in server.follow("digits"):
        assert message["trials"]
        break
    assert contents() == before


def test_what_the_share_holds_stays_data(lab: Lab) -> None:
    """JSON is no document for a browser, whatever is in it."""
    evil = "<script>alert(1)</script>"
    params = {"x": 0.5, "kind": evil}
    failure = Failure(message=evil)
    failed = counted(0, params, None, Outcome.FAILED, failure=failure)
    store = write_study(lab.logs / "s", a_study("s"), [failed], {})
    path = store.folder.root / protocol.seen_folder(0) / "000000.jsonl"
    printed = records.encode(Output(text=evil))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], printed, lines[-1]]))
    server = Server(lab)
    with server.asked("/api/studies/s/trials/0") as answer:
        assert answer.headers["content-type"] == "application/json"
        found = json.loads(answer.read())
    assert found["params"] == params
    assert found["attempts"][0]["output"] == evil
    _, message = next(server.follow("s"))
    assert rows_of(message["configurations"])[0]["params"] == params


def test_a_trial_has_its_output_and_the_files_that_it_left_with_their_sizes(lab: Lab) -> None:
    store = written(lab)
    folder = store.folder.root / protocol.artifacts_folder(3, 1)
    folder.mkdir(parents=True)
    (folder / "model.pt").write_bytes(bytes(1000))
    (folder / "inside").mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    server = Server(lab)
    (attempt,) = server.json("/api/studies/digits/trials/3")["attempts"]
    assert attempt["artifacts"] == {"model.pt": 1000}
    assert attempt["output"] == ""
    assert attempt["result"]["value"] == 0.03
    (other,) = server.json("/api/studies/digits/trials/4")["attempts"]
    assert other["artifacts"] == {}


@pytest.mark.long
def test_what_mattered_is_what_the_command_says(lab: Lab) -> None:
    written(lab, many=60)
    server = Server(lab)
    found = server.json("/api/studies/digits/importance")
    done = lab.run("importance", "digits", "--json", "--logs", str(lab.logs))
    said = json.loads(done.stdout)
    assert {name: found[name] for name in said} == said
    written(lab, "few")
    assert "too few" in server.json("/api/studies/few/importance")["unknown"]


# -- changing something ----------------------------------------------------------------------------


class Acting(Server):
    """A dashboard from which studies may be changed, and somebody who has its token."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "--actions")
        self.sent["Authorization"] = f"Bearer {self.token}"
        self.own = {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}

    def act(
        self, study: str, action: str, body: bytes = b"{}", /, **changes: str
    ) -> tuple[int, str]:
        """The status, and what was said, or what is the trouble."""
        path = f"/api/studies/{study}/actions/{action}"
        with self.asked(path, "POST", body, **{**self.own, **changes}) as answer:
            text = answer.read().decode()
        found = json.loads(text) if text.startswith("{") else {"trouble": text}
        return answer.status, " ".join(found.values())


def test_a_study_is_paused_resumed_stopped_and_enqueued_from_a_browser(lab: Lab) -> None:
    store, server = written(lab), Acting(lab)
    assert server.json("/api/studies")["actions"] is True
    assert server.act("digits", "pause") == (
        200,
        "study digits is paused: nothing new is published or claimed\n"
        f"to go on: distune resume digits --logs {lab.logs}",
    )
    assert store.listing().halts == (protocol.Halt.PAUSE,)
    assert server.act("digits", "resume")[1].startswith("study digits goes on")
    assert server.act("digits", "stop", b'{"now": true}')[0] == 200
    assert store.listing().halts == (protocol.Halt.NOW,)
    assert server.act("digits", "enqueue", b'{"settings": [{"x": 0.25, "kind": "b"}]}')[0] == 200
    (wish,) = store.listing().wishes
    assert store.read_wish(wish) == {"x": 0.25, "kind": "b"}


def test_failed_trials_are_tried_again_from_a_browser(lab: Lab) -> None:
    failed = counted(0, {"x": 0.5, "kind": "a"}, None, Outcome.FAILED, failure=Failure(message="m"))
    write_study(lab.logs / "s", a_study("s"), [failed], {})
    server = Acting(lab)
    status, said = server.act("s", "retry", b'{"trials": [0]}')
    assert (status, said.splitlines()[0]) == (200, "to be trained again: trial 0 as 1")
    assert server.act("s", "retry") == (
        200,
        "no trial of s has failed: there is nothing to try again",
    )


@pytest.mark.parametrize(
    ("action", "body", "said"),
    [
        ("enqueue", b'{"settings": [{"x": 7}]}', "x"),
        ("enqueue", b'{"settings": [["x"]]}', "this cannot be asked of enqueue"),
        ("retry", b'{"trials": [77]}', "trial 77 is not counted"),
        ("retry", b'{"trials": ["--any-owner"]}', "this cannot be asked of retry"),
        ("stop", b'{"later": true}', "this cannot be asked of stop"),
        ("stop", b"now", "this cannot be asked of stop"),
    ],
)
def test_a_mistake_comes_back_in_the_words_of_the_command(
    lab: Lab, action: str, body: bytes, said: str
) -> None:
    written(lab)
    status, trouble = Acting(lab).act("digits", action, body)
    assert status == 400
    assert said in trouble
    assert "\n" not in trouble


def test_nothing_is_changed_without_the_token_from_another_page_or_by_what_is_no_action(
    lab: Lab,
) -> None:
    store, server = written(lab), Acting(lab)
    assert server.act("digits", "stop", Authorization="")[0] == 401
    assert server.act("digits", "stop", Origin="http://evil.example")[0] == 403
    assert server.act("digits", "stop", **{"Content-Type": "text/plain"})[0] == 415
    assert server.act("digits", "stop", b" " * 2**21)[0] == 413
    assert server.act("digits", "clean")[0] == 404
    assert server.act("--help", "stop")[0] == 404
    assert server.act("none", "stop")[0] == 404
    assert server.status("/api/studies/digits/actions/stop") == 405
    assert store.listing().halts == ()


def test_a_study_that_is_called_like_an_option_is_a_study(lab: Lab) -> None:
    written(lab)
    (lab.logs / "digits").rename(lab.logs / "--help")
    watched = Studies(lab.logs)["--help"]
    assert Acting(lab).act("--help", "pause")[1].startswith("study --help is paused")
    with watched.looked() as snapshot:
        assert snapshot.halt is protocol.Halt.PAUSE


def test_unless_it_is_asked_for_there_are_no_actions(server: Server) -> None:
    assert server.json("/api/studies")["actions"] is False
    own = f"http://{server.sent['Host']}"
    for action in ("stop", "pause", "resume", "retry", "enqueue"):
        path = f"/api/studies/digits/actions/{action}"
        assert server.status(path, "POST", b"{}", Origin=own) == 404


# -- following a study -----------------------------------------------------------------------------


def test_a_browser_gets_all_of_a_study_then_what_changes_and_all_again_when_it_comes_back(
    lab: Lab,
) -> None:
    store = written(lab, many=3)
    server = Server(lab)
    following = server.follow("digits")
    name, first = next(following)
    assert name == "digits"
    assert first["status"]["state"] == "waiting for workers"
    assert first["order"] == [0, 1, 2]
    assert [one["value"] for one in rows_of(first["configurations"]).values()] == [0, 0.01, 0.02]
    assert "gone" not in first
    better = counted(3, {"x": 0.5, "kind": "b"}, -1.0)
    append_history(store, better)
    began = time.monotonic()
    _, second = next(one for one in following if "order" in one[1])
    assert time.monotonic() - began < 10  # a second, and what a busy machine makes of it
    assert second["order"] == [3, 0, 1, 2]
    assert list(rows_of(second["configurations"])) == [3]
    assert rows_of(second["trials"])[3]["value"] == -1.0
    assert second["gone"] == {"configurations": [], "trials": []}
    _, again = next(server.follow("digits"))
    assert again["order"] == [3, 0, 1, 2]
    assert list(rows_of(again["trials"])) == [0, 1, 2, 3]
    assert "gone" not in again


def test_several_studies_come_through_one_connection(lab: Lab) -> None:
    for name in ("a", "b"):
        written(lab, name)
    seen = {}
    for name, message in Server(lab).follow("a", "b"):
        seen[name] = message["status"]["study"]
        if len(seen) == 2:
            break
    assert seen == {"a": "a", "b": "b"}


def test_each_message_can_be_read_when_it_comes_also_if_it_is_compressed(lab: Lab) -> None:
    store = written(lab, many=40)
    server = Server(lab)
    with server.asked("/api/events?study=digits", Accept_Encoding="gzip") as answer:
        assert answer.headers["content-encoding"] == "gzip"
        unzip, text = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), b""
        while not text.endswith(b"\n\n"):
            text += unzip.decompress(answer.read1())
        assert b'"order":[0,1,2' in text
        append_history(store, counted(40, {"x": 0.5, "kind": "b"}, 9.0))
        while b"[40]" not in text:
            text += unzip.decompress(answer.read1())


def test_a_study_that_vanishes_says_so_and_what_takes_its_place_is_shown(lab: Lab) -> None:
    written(lab), written(lab, "other")
    server = Server(lab)
    following = server.follow("digits")
    next(following)
    shutil.rmtree(lab.logs / "digits")
    _, message = next(one for one in following if one[1]["trouble"])
    assert "digits" in message["trouble"] or "gone" in message["trouble"]
    wait_until(lambda: len(server.json("/api/studies")["studies"]) == 1)
    anew = a_study("digits").model_copy(update={"id": "another"})
    lines = [one.replace(trial=one.trial.replace(study="another")) for one in trials(2)]
    write_study(lab.logs / "digits", anew, lines, {})
    _, message = next(one for one in following if one[1].get("status", {}).get("id") == "another")
    assert message["order"] == [0, 1]
    assert message["gone"]["trials"] == [2, 3, 4]
    assert server.row("other")["counted"] == 5


def test_a_study_in_the_place_of_another_is_taken_for_what_it_is(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_IDENTIFIED_EVERY", 0.0)
    written(lab)
    watched = Studies(lab.logs)["digits"]
    with watched.looked() as snapshot:
        assert len(snapshot.history) == 5
    (lab.logs / "digits").rename(lab.folder / "old")
    anew = a_study().model_copy(update={"id": "another"})
    write_study(lab.logs / "digits", anew, [], {})
    with watched.looked() as snapshot:
        assert (snapshot.study.id, len(snapshot.history)) == ("another", 0)


def test_a_study_that_is_damaged_says_so_in_its_row_and_the_others_go_on(lab: Lab) -> None:
    written(lab), written(lab, "spoilt")
    (lab.logs / "spoilt" / protocol.STUDY).write_text("{]")
    server = Server(lab)
    assert server.row("spoilt").keys() == {"name", "trouble"}
    assert server.row("digits")["best"] == 0.0
    _, message = next(server.follow("spoilt"))
    assert message.keys() == {"trouble"}
    assert server.status("/api/studies/spoilt/curves") == 503
    assert server.status("/api/studies/digits/curves") == 200


def test_it_ends_when_it_is_asked_to_though_a_browser_follows_and_waits(lab: Lab) -> None:
    written(lab, many=300)
    server = Server(lab)
    following = server.follow("digits")
    next(following)
    asked = threading.Thread(target=server.status, args=["/api/studies/digits/importance"])
    asked.start()
    me = psutil.Process(server.process.pid)
    wait_until(me.children, what="it works out what mattered")
    (child,) = me.children()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE) == 130
    wait_until(lambda: not child.is_running(), what="nobody works for it any more")
    assert list(following) == []
    asked.join()
    assert "ERROR" not in lab.log_of(server.process)


# -- what it costs ---------------------------------------------------------------------------------


def operations_of(browsers: int) -> Counter[str]:
    """What it costs the share that so many browsers have got all of a study."""
    folder = MemoryFolder(Share(), random.Random(0), time.monotonic, Faults())
    store = Store(folder)
    store.create(a_study())
    append_history(store, *trials(10))
    folder.operations.clear()

    async def first(stream: Stream) -> tuple[str, bytes]:
        return await anext(messages([stream]))

    async def all_of_them() -> None:
        stream = Stream("s", Watched(store, lambda: store))
        seen = await asyncio.gather(*(first(stream) for _ in range(browsers)))
        assert len({message for _, message in seen}) <= 2  # what changed since nothing, and all

    asyncio.run(all_of_them())
    return folder.operations


def test_ten_browsers_cost_the_share_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_EVERY", 3600.0)
    one, ten = operations_of(1), operations_of(10)
    assert one["read"] > 3
    assert ten == one


async def got(app: Any, path: str) -> Any:
    """The JSON that an ASGI application answers."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return json.loads(b"".join(one.get("body", b"") for one in sent))


def test_ten_browsers_that_list_the_studies_have_the_folder_listed_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(lab)
    listed = []

    def find(logs: Path, only: str | None = None) -> dict[str, Store]:
        listed.append(logs)
        return find_studies(logs, only)

    monkeypatch.setattr(watching, "find_studies", find)
    app = Dashboard(lab.logs).app

    async def ten() -> list[Any]:
        return await asyncio.gather(*(got(app, "/api/studies") for _ in range(10)))

    answers = asyncio.run(ten())
    assert [one["studies"][0]["counted"] for one in answers] == [5] * 10
    assert len(listed) == 1


def test_a_study_that_does_not_change_is_looked_at_less_and_less_often(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now, looked = written(lab), [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    studies, overview = Studies(lab.logs), Overview()
    watched = studies.there()["digits"]

    @contextmanager
    def looked_at(age: float) -> Iterator[Snapshot]:
        looked.append(now[0])
        with Watched.looked(watched, age) as snapshot:
            yield snapshot

    monkeypatch.setattr(watched, "looked", looked_at)
    for second in range(0, 60, 2):
        now[0] = float(second)
        if second == 40:
            append_history(store, *trials(1, first=5))
        counted = overview.look(studies.there())[0]["counted"]
    assert looked == [0, 2, 6, 14, 30, 46, 48, 52]
    assert counted == 6


def test_a_browser_that_does_not_take_what_it_is_sent_gets_all_of_it_anew_later() -> None:
    reader = Reader()
    taken = [reader.put("s", b"%d" % i) for i in range(100)]
    assert taken.count(False) == 3
    assert taken.index(False) == 30

    async def take() -> list[bytes]:
        reader.put("s", b"whole")
        found = []
        async for _, message in reader.take():
            found.append(message)
            if message == b"whole":
                return found
        return found

    assert asyncio.run(take()) == [*(b"%d" % i for i in range(93, 100)), b"whole"]


# -- what is sent ----------------------------------------------------------------------------------


def test_rows_come_back_from_columns() -> None:
    rng = random.Random(1)
    rows: dict[int, dict[str, Any]] = {}
    for number in range(0, 200, 2):
        rows[number] = {"all": None, "n": number, "few": rng.choice([1, True, "a", 1.0, None])}
        rows[number]["params"] = {"x": rng.random(), **({"m": 1} if number % 3 else {})}
        rows[number]["list"] = [number]
        if number % 5:
            rows[number] |= {"value": rng.choice([None, rng.random()]), "test": {"a": number}}
    found = rows_of(json.loads(json.dumps(as_columns(rows))))
    assert found == rows
    assert [type(one["few"]) for one in found.values()] == [
        type(one["few"]) for one in rows.values()
    ]
    assert len(json.dumps(as_columns(rows))) < len(json.dumps(rows)) / 2


# -- what comes with it ----------------------------------------------------------------------------


def test_the_libraries_of_the_page_are_those_that_the_script_names() -> None:
    import hashlib

    named = {name: sha256 for one in PACKAGES for name, sha256 in one.files.values()}
    there = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file()
    }
    assert there == named
    assert {f"vendor/{name}" for name in named} <= page_files().keys()


def test_each_library_comes_with_its_licence() -> None:
    licences = [name for one in PACKAGES for name, _ in one.files.values() if "licenses/" in name]
    assert len(licences) >= len(PACKAGES)
