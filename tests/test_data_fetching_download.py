"""Downloads: continued, checked, put in place as a whole, and never endless."""

from __future__ import annotations

import errno
import hashlib
import os
import pathlib

import pytest

from bench.data.fetching import download as module
from bench.data.fetching.download import Patience, Remote, UnreachableError, download, part_of
from bench.errors import BenchError, DataError, MachineError
from tests.stand_in import Behaviour, StandIn, serving

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serving(StandIn()) as stand_in:
        stand_in.files["/a.bin"] = CONTENT
        yield stand_in


@pytest.fixture
def waits():
    return []


@pytest.fixture
def patience(waits):
    return Patience(timeout_s=0.5, attempts=3, sleep=waits.append)


def remote(server, **changes):
    known = {"bytes": len(CONTENT), "sha256": SHA256, **changes}
    return Remote(f"{server.url}/a.bin", **known)


def test_a_file_arrives_whole_with_its_progress(server, tmp_path, patience):
    target, seen = tmp_path / "deep" / "er" / "a.bin", []
    download(remote(server), target, lambda done, total: seen.append((done, total)), patience)
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]


def test_a_broken_download_continues_with_a_range_in_the_same_run(server, tmp_path, patience):
    server.behaviour["/a.bin"] = Behaviour(cut_after=1_200_000, cuts=2)
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked("a.bin") == [None, "bytes=1200000-", "bytes=2400000-"]


def test_a_killed_download_continues_in_the_next_run(server, tmp_path, patience):
    target = tmp_path / "a.bin"

    def kill(done, _total):
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(remote(server), target, kill, patience)
    kept = part_of(target).stat().st_size
    assert not target.exists()
    assert 1_000_000 < kept < len(CONTENT)
    download(remote(server), target, None, patience)
    assert target.read_bytes() == CONTENT
    assert server.asked("a.bin") == [None, f"bytes={kept}-"]


def test_what_was_kept_and_is_whole_is_not_asked_for(server, tmp_path, patience):
    part_of(tmp_path / "a.bin").write_bytes(CONTENT)
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert server.requests == []


def test_a_server_without_ranges_begins_again(server, tmp_path, patience):
    server.behaviour["/a.bin"] = Behaviour(ignores_range=True)
    part_of(tmp_path / "a.bin").write_bytes(CONTENT[:1000])
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [b"x" * 1000, b"x" * 4_000_000])
def test_a_kept_part_of_something_else_is_thrown_away(server, tmp_path, patience, kept):
    part_of(tmp_path / "a.bin").write_bytes(kept)
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_kept_part_longer_than_a_file_of_unknown_size(server, tmp_path, patience):
    part_of(tmp_path / "a.bin").write_bytes(b"x" * 4_000_000)
    download(remote(server, bytes=None), tmp_path / "a.bin", None, patience)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_body_without_a_length_is_read_to_its_end(server, tmp_path, patience):
    server.behaviour["/a.bin"] = Behaviour(chunked=True)
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, r"its SHA-256 is \w{12}…, expected 000000000000…; refused"),
        ({"bytes": 2_000_000}, "3000000 bytes, expected 2000000; refused"),
        ({"bytes": 3_000_001}, "3000000 bytes, expected 3000001; refused"),
        ({"blob": "1" * 40}, r"git would name it \w{12}…, not 111111111111…; refused"),
    ],
)
def test_other_content_is_refused_and_nothing_is_left(server, tmp_path, patience, changes, message):
    target = tmp_path / "a.bin"
    with pytest.raises(BenchError, match=message):
        download(remote(server, **changes), target, None, patience)
    assert not target.exists()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (2_000_000, "longer than 2000000 bytes, expected 2000000; refused"),
        (3_000_001, "3000000 bytes are all there are; refused"),
    ],
)
def test_other_content_of_untold_length_is_refused_too(server, tmp_path, patience, size, message):
    server.behaviour["/a.bin"] = Behaviour(chunked=True)
    with pytest.raises(DataError, match=message):
        download(remote(server, bytes=size), tmp_path / "a.bin", None, patience)
    assert not (tmp_path / "a.bin").exists()


def test_git_s_own_name_of_the_content_is_enough(server, tmp_path, patience):
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    download(remote(server, sha256=None, blob=blob), tmp_path / "a.bin", None, patience)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_missing_file_is_told_at_once(server, tmp_path, patience, waits):
    gone = Remote(f"{server.url}/gone.bin")
    with pytest.raises(DataError, match=r"gone\.bin: the server answers 404 Not Found — it is no"):
        download(gone, tmp_path / "gone.bin", None, patience)
    assert waits == []
    assert list(tmp_path.iterdir()) == []


def test_a_forbidden_file_says_how_to_be_let_in(server, tmp_path, patience):
    server.behaviour["/a.bin"] = Behaviour(status=403)
    with pytest.raises(DataError, match=r"403 Forbidden — accept its terms on its page"):
        download(remote(server), tmp_path / "a.bin", None, patience)


def test_a_busy_server_is_waited_for_but_not_for_ever(server, tmp_path, patience, waits):
    server.behaviour["/a.bin"] = Behaviour(status=503, statuses=2)
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert waits == [1.0, 2.0]
    server.behaviour["/a.bin"] = Behaviour(status=429)
    with pytest.raises(UnreachableError, match=r"answers 429 Too Many Requests \(3 tries\)"):
        download(remote(server), tmp_path / "b.bin", None, patience)


def test_a_server_may_not_ask_for_hours(server, tmp_path, patience, waits, monkeypatch):
    server.behaviour["/a.bin"] = Behaviour(status=503, statuses=1)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.25)
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert waits == [0.25]


def test_a_hanging_server_is_given_up(server, tmp_path, patience, waits):
    server.behaviour["/a.bin"] = Behaviour(hang_s=1.0)
    with pytest.raises(UnreachableError, match=r"no answer within 0\.5 s \(3 tries\) — try again"):
        download(remote(server), tmp_path / "a.bin", None, patience)
    assert waits == [1.0, 2.0]


def test_a_server_that_is_not_there(tmp_path, patience):
    with serving(StandIn()) as gone:
        url = gone.url
    with pytest.raises(UnreachableError, match=r"cannot be reached .*refused.* \(3 tries\)"):
        download(Remote(f"{url}/a.bin"), tmp_path / "a.bin", None, patience)


def test_a_trickle_counts_as_hanging(tmp_path, monkeypatch):
    class Trickle:
        def read1(self, _size):
            return b"x"

    clock = iter(float(tick) for tick in range(10_000))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with (tmp_path / "a").open("wb") as file, pytest.raises(Exception, match="the server hangs"):
        module._copy(Trickle(), file, 0, Remote("http://x"), None, None, 30.0)


def test_progress_gives_new_tries(server, tmp_path, patience):
    server.behaviour["/a.bin"] = Behaviour(cut_after=module._PROGRESS_BYTES, cuts=10)
    with_few = Patience(timeout_s=0.5, attempts=2, sleep=lambda _: None)
    download(remote(server), tmp_path / "a.bin", None, with_few)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    server.behaviour["/a.bin"] = Behaviour(cut_after=10, cuts=10)
    with pytest.raises(UnreachableError, match=r"the connection ended after 20 of 3000000 bytes"):
        download(remote(server), tmp_path / "b.bin", None, with_few)


def test_a_full_disk_is_told_and_what_arrived_is_kept(server, tmp_path, patience, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def seek(self, place):
            self.file.seek(place)

        def write(self, chunk):
            if self.file.tell() > 1_000_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(chunk)

    opened = pathlib.Path.open
    monkeypatch.setattr(pathlib.Path, "open", lambda path, mode="r": Full(opened(path, mode)))
    with pytest.raises(MachineError, match=r"a\.bin: the disk is full — free some space, then"):
        download(remote(server), tmp_path / "a.bin", None, patience)
    monkeypatch.undo()
    assert part_of(tmp_path / "a.bin").stat().st_size > 1_000_000
    download(remote(server), tmp_path / "a.bin", None, patience)
    assert server.asked("a.bin")[1].startswith("bytes=")


def test_a_folder_that_cannot_be_made(server, tmp_path, patience):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"cannot be written .* — choose a folder that can"):
        download(remote(server), tmp_path / "file" / "a.bin", None, patience)


def test_a_token_does_not_follow_a_redirect_to_another_host(server, tmp_path, patience):
    with serving(StandIn()) as other:
        other.files["/elsewhere.bin"] = CONTENT
        server.redirects["/a.bin"] = f"{other.url}/elsewhere.bin"
        secret = {"Authorization": "Bearer secret"}
        download(remote(server, headers=secret), tmp_path / "a.bin", None, patience)
        assert server.headers[0]["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.headers[0]


def test_only_http_is_spoken(tmp_path):
    with pytest.raises(BenchError, match="not an https address"):
        download(Remote("file:///etc/passwd"), tmp_path / "a")
