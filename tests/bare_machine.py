"""A machine with nothing but a shell, for ``./reproduce``: its programs are small fakes.

``offered`` says what the package manager has: per package the programs that it brings. A fake
Python of any version answers what the script asks of one; what was called is in ``log``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What every Debian and Fedora has, however small.
_BASE = ["cat", "chmod", "cp", "dirname", "env", "mkdir", "rm", "sh", "touch"]
_LOG = 'printf "%s\\n" "${0##*/} $*" >> "$LOG"\n'
_PYTHON = """\
here=$(dirname "$0")
case "$1 ${2-}" in
'-c '*)
    case $VERSION in
    3.11 | 3.12) [ -e "$BIN/ensurepip" ] || { echo venv >&2; exit 1; } ;;
    3.13 | 3.14)
        [ -e "$BIN/ensurepip" ] || { echo venv >&2; exit 1; }
        [ -e "$BIN/headers" ] || { echo compiler >&2; exit 1; } ;;
    *) echo version >&2; exit 1 ;;
    esac ;;
'--version '*) echo "Python $VERSION" ;;
'-m venv')
    [ -e "$BIN/ensurepip" ] || exit 1
    for folder; do :; done
    mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" ;;
'-m pip')
    for package; do :; done
    printf "pip %s\\n" "$package" >> "$LOG"
    case $package in
    uv==*) cp "$BIN/../uv" "$here/uv" ;;
    nox==*) printf %s "${package#nox==}" > "$here/nox" ;;
    esac ;;
'-m nox') if [ "$3" = --version ]; then cat "$here/nox"; else printf "%s\\n" "$*" >> "$LOG"; fi ;;
esac
"""
_APT = """\
[ "$1" != -o ] || shift 2
case $* in
update*) echo "proxy ${http_proxy-none}" >> "$LOG"; exit ;;
*--simulate*) for last; do :; done; [ -d "$OFFERED/$last" ]; exit ;;
esac
shift
for one; do
    case $one in -*) ;; *) [ -d "$OFFERED/$one" ] || { echo "E: no $one" >&2; exit 100; } ;; esac
done
for one; do case $one in -*) ;; *) cp "$OFFERED/$one/"* "$BIN/" ;; esac; done
"""
_DNF = """\
case $* in
*repoquery*) for last; do :; done; [ -d "$OFFERED/$last" ] && echo "$last"; exit 0 ;;
esac
shift
for one; do
    case $one in -*) ;; *) [ -d "$OFFERED/$one" ] || { echo "no $one" >&2; exit 1; } ;; esac
done
for one; do case $one in -*) ;; *) cp "$OFFERED/$one/"* "$BIN/" ;; esac; done
"""
#: It forgets the environment, and grants what ``granted`` beside the programs says.
_SUDO = """\
[ -e "$BIN/granted" ] || exit 1
case $1 in -n | -v) exit 0 ;; esac
exec env -i PATH="$PATH" LOG="$LOG" BIN="$BIN" OFFERED="$OFFERED" "$@"
"""


def python(version: str) -> str:
    return f"VERSION={version}\n{_PYTHON}"


def javac(version: str) -> str:
    return f"echo 'javac {version}'\n"


class Machine:
    """One machine: run the script on it, and see what it called."""

    def __init__(
        self,
        folder: Path,
        manager: str | None,
        offered: Mapping[str, Mapping[str, str]],
        has: Mapping[str, str],
        user: int = 0,
    ) -> None:
        self.bin, self.log = folder / "bin", folder / "log"
        self.kit = folder / "ein Ordner für das Kit"
        self.bin.mkdir(parents=True)
        self.kit.mkdir()
        script = (ROOT / "reproduce").read_text().replace("/usr/lib/jvm", str(folder / "jvm"))
        (self.kit / "reproduce").write_text(script)  # JDKs of the machine that tests
        for name in _BASE:
            (self.bin / name).symlink_to(shutil.which(name) or name)
        self.put(self.bin / "id", f"echo {user}\n")
        if manager is not None:
            fake = {"apt-get": _APT, "dnf": _DNF}[manager]
            self.put(self.bin / manager, _LOG + fake)
        for name, text in has.items():
            self.put(self.bin / name, text)
        for package, brings in offered.items():
            (folder / "offered" / package).mkdir(parents=True)
            for name, text in brings.items():
                self.put(folder / "offered" / package / name, text)
        (folder / "offered").mkdir(exist_ok=True)
        # uv brings a Python of its own, which has all that it needs.
        self.put(
            folder / "uv",
            _LOG + 'case "$1 $2" in "python find") echo "$BIN/../brought"; esac\n',
        )
        self.put(folder / "brought", python("3.12"))
        self.log.touch()

    @staticmethod
    def put(path: Path, text: str) -> None:
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def sudo(self, *, granted: bool) -> None:
        self.put(self.bin / "sudo", _SUDO)
        if granted:
            (self.bin / "granted").touch()

    def run(
        self, *options: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The script's end; nothing of this machine's environment reaches it."""
        return subprocess.run(
            ["/bin/sh", str(self.kit / "reproduce"), *options],
            env={
                "PATH": str(self.bin),
                "LOG": str(self.log),
                "BIN": str(self.bin),
                "OFFERED": str(self.bin.parent / "offered"),
                "SSL_CERT_FILE": str(self.bin / "sh"),
                **(environment or {}),
            },
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd="/",
        )

    def called(self, start: str) -> Sequence[str]:
        """The calls that begin so, without the program's name where that is all of it."""
        return [line for line in self.log.read_text().splitlines() if line.startswith(start)]

    @property
    def installed(self) -> set[str]:
        """The packages that a manager was asked to install."""
        words = {
            word
            for line in self.log.read_text().splitlines()
            if re.match(r"(apt-get( -o \S+)?|dnf) install ", line)
            for word in line.partition(" install ")[2].split()
        }
        return {word for word in words if not word.startswith("-")}
