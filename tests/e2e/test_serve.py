"""`chamberlain serve` as an administrator meets it: start, stop, locks, listeners, workers."""

import concurrent.futures
import os
import re
import signal
import socket
import time
from pathlib import Path

import orjson
import pytest

from tests.support.postgres import Postgres
from tests.support.process import Process, run, unix_get

TLS = Path(__file__).parent / "tls"
VERSIONS = "/_matrix/client/versions"


def test_the_first_start_makes_an_administrator_who_can_log_in(tmp_path: Path) -> None:
    """Name and one-time password are printed once; the next start keeps all data and prints neither."""
    with Process(tmp_path) as server:
        assert server.first_admin is not None
        user, password = server.first_admin
        token = server.login(user, password)
        status, answer = server.call("GET", "/_matrix/client/v3/account/whoami", token=token)
        assert (status, answer["user_id"]) == (200, user)
        assert server.stop() == 0
        assert (tmp_path / "data/server_name").read_text() == "localhost\n"
    with Process(tmp_path) as server:
        assert server.first_admin is None
        assert server.call("GET", "/_matrix/client/v3/account/whoami", token=token)[0] == 200
        assert server.stop(signal.SIGINT) == 0

    assert (tmp_path / "data/signing.key").stat().st_mode & 0o077 == 0
    assert not (tmp_path / "data/admin.sock").exists()
    assert password not in (tmp_path / "serve.log").read_text()


def test_stopping_answers_those_who_wait(tmp_path: Path) -> None:
    """A client in a long poll gets an answer, not a broken connection, and the server ends soon."""
    with Process(tmp_path) as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert server.first_admin is not None
        token = server.login(*server.first_admin)
        _, first = server.call("GET", "/_matrix/client/v3/sync?timeout=0", token=token)
        poll = f"/_matrix/client/v3/sync?timeout=60000&since={first['next_batch']}"
        waiting = pool.submit(server.call, "GET", poll, None, token)
        assert server.call("GET", "/health")[0] == 200
        with pytest.raises(concurrent.futures.TimeoutError):
            waiting.result(0.5)

        assert server.stop() == 0
        status, answer = waiting.result(10)
        assert status == 200
        assert answer["next_batch"]


def test_one_server_at_a_time_on_a_data_folder(tmp_path: Path) -> None:
    """A second server refuses and names the first one's process; after `kill -9` nothing is in the way."""
    with Process(tmp_path) as server:
        second = run(tmp_path, "serve", "--name", "localhost", "--port", "0")
        assert second.returncode == 1
        assert f"process {server.child.pid}" in second.stderr
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with Process(tmp_path) as server:
        assert server.call("GET", VERSIONS)[0] == 200
        assert server.stop() == 0


def test_a_key_is_rotated_beside_a_running_server(tmp_path: Path) -> None:
    """It is published at once, and the next start has it."""

    def published(server: Process) -> tuple[list[str], list[str]]:
        answer = server.call("GET", "/_matrix/key/v2/server")[1]
        return list(answer["verify_keys"]), list(answer["old_verify_keys"])

    with Process(tmp_path) as server:
        (old,), _ = published(server)
        done = run(tmp_path, "keys", "rotate", "--name", "localhost")
        assert done.returncode == 0, done.stderr
        (new,), gone = published(server)
        assert new in done.stdout and gone == [old] != [new]
        assert server.stop() == 0
    with Process(tmp_path) as server:
        assert published(server) == ([new], [old])
        assert server.stop() == 0


def test_a_server_never_changes_its_name(tmp_path: Path) -> None:
    """With data of one name, another name refuses to start and says so in words."""
    with Process(tmp_path, name="one.example") as server:
        assert server.stop() == 0
    refused = run(tmp_path, "serve", "--name", "two.example", "--port", "0")

    assert refused.returncode == 1
    assert "one.example" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_listeners_of_every_kind(tmp_path: Path) -> None:
    """Plain, TLS and unix listeners serve side by side, each the APIs that it is set to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        metrics = probe.getsockname()[1]
    (tmp_path / "chamberlain.toml").write_text(
        f"""
server_name = "localhost"
[[listeners]]
tls_certificate = "{TLS}/certificate.pem"
tls_key = "{TLS}/key.pem"
resources = ["client"]
[[listeners]]
unix_socket = "here.sock"
unix_socket_mode = 0o600
[metrics]
port = {metrics}
"""
    )
    with Process(tmp_path, "--config", "chamberlain.toml") as server:
        certificate = TLS / "certificate.pem"
        assert server.call("GET", VERSIONS, tls=certificate)[0] == 200
        assert server.call("GET", "/_synapse/admin/v1/register", tls=certificate)[0] == 404
        assert unix_get(tmp_path / "here.sock", VERSIONS)[0] == 200
        assert (tmp_path / "here.sock").stat().st_mode & 0o777 == 0o600
        with socket.create_connection(("127.0.0.1", metrics)) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"200 OK" in connection.recv(1000)
        assert server.stop() == 0

    assert not (tmp_path / "here.sock").exists()


def test_accounts_beside_a_running_server_and_without_one(tmp_path: Path) -> None:
    """The same commands work on both, and what they do is there for clients at once."""
    common = ("--name", "localhost")
    created = run(tmp_path, "user", "create", "alice", "--password-stdin", *common, stdin="wonderland 1\n")
    assert created.returncode == 0, created.stderr
    with Process(tmp_path) as server:
        token = server.login("alice", "wonderland 1")
        whois = "/_matrix/client/v3/admin/whois/@alice:localhost"
        lists = "/_synapse/admin/v1/register"
        assert server.call("GET", whois, token=token)[0] == 200
        assert server.call("GET", lists)[0] != 500
        made = run(tmp_path, "user", "make-admin", "alice", *common)
        assert made.returncode == 0, made.stderr
        other = run(tmp_path, "user", "create", "bob", "--password-stdin", *common, stdin="a long password\n")
        assert other.returncode == 0, other.stderr
        listed = run(tmp_path, "user", "list", *common)
        assert "@alice:localhost" in listed.stdout
        assert "@bob:localhost" in listed.stdout
        bob = server.login("bob", "a long password")
        whois_bob = "/_matrix/client/v3/admin/whois/@bob:localhost"
        assert server.call("GET", whois_bob, token=token)[0] == 200
        changed = run(
            tmp_path, "user", "set-password", "bob", "--password-stdin", *common, stdin="another word\n"
        )
        assert changed.returncode == 0, changed.stderr
        assert server.call("GET", "/_matrix/client/v3/account/whoami", token=bob)[0] == 401
        bob = server.login("bob", "another word")
        planned = run(tmp_path, "user", "deactivate", "bob", "--dry-run", *common)
        assert "cannot" not in planned.stderr
        assert server.call("GET", "/_matrix/client/v3/account/whoami", token=bob)[0] == 200
        ended = run(tmp_path, "user", "deactivate", "bob", "--yes", *common)
        assert ended.returncode == 0, ended.stderr
        assert server.call("GET", "/_matrix/client/v3/account/whoami", token=bob)[0] == 401
        twice = run(tmp_path, "user", "create", "alice", "--password-stdin", *common, stdin="wonderland 2\n")
        assert twice.returncode == 1
        assert "Traceback" not in twice.stderr
        assert server.stop() == 0


def test_every_operation_is_a_command(tmp_path: Path) -> None:
    """`chamberlain admin` gives JSON alone, with the server up or down, and refuses in words."""
    create = ("user", "create", "alice", "--password-stdin", "--name", "localhost")
    fresh = run(tmp_path, *create, stdin="wonderland 1\n")
    assert "password" in fresh.stderr, "the first administrator is made now, and told"
    down = run(tmp_path, "admin", "users", "whois", "alice", "--server-name", "localhost")
    assert orjson.loads(down.stdout)["user_id"] == "@alice:localhost"
    with Process(tmp_path) as server:
        up = run(tmp_path, "admin", "users", "set-locked", "alice", "--locked", "--reason", "a test")
        assert orjson.loads(up.stdout) == {}
        again = run(tmp_path, "admin", "users", "list", "--locked")
        assert [row["user_id"] for row in orjson.loads(again.stdout)["users"]] == ["@alice:localhost"]
        log = orjson.loads(run(tmp_path, "admin", "audit", "list", "--operation", "users.set_locked").stdout)
        assert log["calls"][0]["fields"]["reason"] == "a test"
        nobody = run(tmp_path, "admin", "users", "get", "nobody")
        assert (nobody.returncode, nobody.stdout) == (1, "")
        assert "Traceback" not in nobody.stderr
        stranger = run(tmp_path, "admin", "users", "get", "@alice:elsewhere.example")
        assert "another server" in stranger.stderr
        assert server.stop() == 0


def test_alike_workers_on_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    """Several processes serve one port; one that dies is replaced; a signal ends them all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = postgres.new_database()
    with Process(tmp_path, "--workers", "2", "--port", str(port), "--database", database) as server:
        assert server.first_admin is not None
        token = server.login(*server.first_admin)
        pids = _wait_for_workers(server, 2)
        for _ in range(20):
            assert server.call("GET", "/_matrix/client/v3/account/whoami", token=token)[0] == 200
        os.kill(max(pids), signal.SIGKILL)
        again = _wait_for_workers(server, 3)
        assert len(again) == 3
        assert server.stop() == 0
    assert server.log().count("stopped") >= 2


def test_workers_end_with_the_process_that_started_them(tmp_path: Path, postgres: Postgres) -> None:
    """Killed without a word, it leaves no process behind, and the next start finds the data folder free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--workers", "2", "--port", str(port), "--database", postgres.new_database())
    with Process(tmp_path, *options) as server:
        pids = _wait_for_workers(server, 2)

        os.kill(server.child.pid, signal.SIGKILL)

        deadline = time.monotonic() + 30
        while any(map(_is_running, pids)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(map(_is_running, pids))


def _is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_for_workers(server: Process, count: int) -> set[int]:
    """The process ids of all workers that ever said that they are ready, once there are `count`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pids = {int(pid) for pid in re.findall(r"ready .*?pid=(\d+)", server.log())}
        if len(pids) >= count:
            return pids
        time.sleep(0.05)
    raise AssertionError(server.log())


def test_workers_that_cannot_start_end_with_a_reason(tmp_path: Path) -> None:
    """With a database that does not answer, `--workers 2` ends, says why once, and leaves no process."""
    refused = run(
        tmp_path,
        "serve",
        "--name",
        "localhost",
        "--port",
        "0",
        "--workers",
        "2",
        "--database",
        "postgresql://nobody@127.0.0.1:1/none",
    )

    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert refused.stderr.count("Error:") == 1
