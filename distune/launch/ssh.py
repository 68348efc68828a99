"""A script of bash's that runs a worker on each of several hosts, through ssh."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distune.errors import UserError


@dataclass(frozen=True)
class Host:
    """As ssh knows it; `jobs` trials at a time, or None for what the others have."""

    name: str
    jobs: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Host":
        """`gpu7`, `me@gpu7=4`: a colon would be part of an address, or come before a port.

        Raises:
            UserError: it is no host.
        """
        name, equals, jobs = text.strip().partition("=")
        if not name or name.startswith("-") or not name.isprintable() or " " in name:
            raise UserError(f"host {text!r}: write a name that ssh knows, or NAME=N for N trials")
        if equals and not (jobs.isdecimal() and 1 <= int(jobs) <= 1024):
            raise UserError(f"host {text!r}: after = comes how many trials, from 1 to 1024")
        return cls(name, int(jobs) if equals else None)

    def __str__(self) -> str:
        return self.name if self.jobs is None else f"{self.name}={self.jobs}"


def parse_hosts(texts: Iterable[str], listed: str = "") -> list[Host]:
    """Hosts from the command line, then from a file's text: a line each, `#` begins a comment.

    Raises:
        UserError: there are none, one is no host, or is there twice.
    """
    lines = (line.partition("#")[0].strip() for line in listed.splitlines())
    hosts = [Host.parse(text) for text in (*texts, *filter(None, lines))]
    names = [host.name for host in hosts]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"host {name!r} is there twice: {name}=N trains N trials at a time")
    if not hosts:
        raise UserError("there are no hosts: name them, or give --hosts FILE with one a line")
    return hosts


def ssh_script(hosts: Sequence[Host], worker: Sequence[str], folder: str | None = None) -> str:
    """The text of the script.

    Args:
        worker: the command line of one; `--jobs` of a host's own comes after it.
        folder: where it runs; None for the home directory.
    """
    listed = "\n".join(f"  {shlex.quote(str(host))}" for host in hosts)
    enter = "" if folder is None else f"cd {shlex.quote(folder)} || exit\n"
    return _SCRIPT.format(hosts=listed, enter=enter, worker=shlex.join(worker))


_SCRIPT = """\
#!/bin/bash
# Workers of distune on hosts that answer to ssh. Edit it, and start it with `bash FILE`.
# Ctrl-C has all of them give their trials back and end; a second one does not wait for it.
hosts=( # as ssh knows them; NAME=N trains N trials at a time there
{hosts}
)
# Nobody would answer questions; a host that is off is found out. All else is as in ~/.ssh/config.
options=(
  -T -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4
)

# What runs on a host. Without a terminal ssh passes no signal on: the end of its input tells it
# that this script wants the worker to end, or is gone.
read -r -d '' far <<'END'
{enter}exec 3<&0
{worker} "$@" </dev/null 3<&- & worker=$!
{{ while read -r line; do :; done <&3; kill -TERM $worker; }} >/dev/null 2>&1 & watch=$!
wait $worker; status=$?
kill $watch 2>/dev/null; exit $status
END

quote() {{ printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\\\\\''/g")"; }}

run() {{ # NAME[=N]
  trap '' INT # ssh would go, and take its worker's last words along
  host=${{1%%=*}} jobs=
  [ "$host" = "$1" ] || jobs="--jobs ${{1#*=}}"
  {{
    ssh "${{options[@]}}" -- "$host" "exec sh -c $(quote "$far") distune $jobs" <&4
    status=$?
    case $status in
      0 | 143) ;;
      127) echo "no such Python there (exit status 127)" ;;
      255) echo "no connection, or no longer (exit status 255); a worker that it has goes on" ;;
      *) echo "ended with exit status $status" ;;
    esac
    exit $status
  }} 2>&1 | while IFS= read -r line || [ -n "$line" ]; do printf '%s: %s\\n' "$host" "$line"; done
  return "${{PIPESTATUS[0]}}"
}}

# The input of every ssh, which ends when this shell closes 3, or dies.
pipe=$(mktemp -d) && mkfifo "$pipe/input" && exec 3<>"$pipe/input" 4<"$pipe/input" || exit
rm -r "$pipe"

result=0
stop() {{
  trap - INT TERM HUP
  echo "stopping: all give back what they hold"
  exec 3>&-
  result=130
}}
trap stop INT TERM HUP

pids=()
for one in "${{hosts[@]}}"; do
  run "$one" 3>&- &
  pids+=($!)
done
for pid in "${{pids[@]}}"; do
  wait "$pid"; status=$?
  while kill -0 "$pid" 2>/dev/null; do wait "$pid"; status=$?; done # a signal ends `wait` early
  [ $status -eq 0 ] || [ $result -ne 0 ] || result=1
done
exit $result
"""
