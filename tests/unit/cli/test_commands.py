"""What the commands say and do, without a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from chamberlain import __version__
from chamberlain.cli import data_folder
from chamberlain.cli.main import main
from chamberlain.cli.sockets import bind_tcp
from chamberlain.config.load import load
from chamberlain.matrix.signing import generate
from tests.support.log import restored_logging


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each command runs in an empty folder, with no settings in its environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHAMBERLAIN_CONFIG", raising=False)
    with restored_logging():
        yield


def run(*arguments: str) -> tuple[int, str]:
    """The exit status of a command and everything that it prints."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_version_is_printed() -> None:
    """`--version` names the program and its version."""
    assert run("--version") == (0, f"chamberlain, version {__version__}\n")


@pytest.mark.parametrize(
    "command", ["serve", "init", "config", "user", "admin", "keys", "doctor", "completion"]
)
def test_help_teaches_with_examples(command: str) -> None:
    """Every command's help has an example that begins with the command itself."""
    status, text = run(command, "--help")

    assert status == 0
    assert f"chamberlain {command}" in text.split("Usage:", 1)[1].split("\n", 1)[1]


def test_a_name_to_look_for_is_not_the_name_of_the_server() -> None:
    """`admin users list --name ali` is refused with the right options, for it would have listed everybody."""
    status, text = run("admin", "users", "list", "--name", "ali")
    _, listed = run("admin", "users", "list", "--help")

    assert status == 2
    assert "No such option" in text and "--name" in text
    assert "--match-name" in listed and "--server-name" in listed
    assert not Path("data").exists()


def test_init_writes_a_file_that_serve_understands() -> None:
    """What is asked for is set in the file, everything else is explained in comments."""
    status, text = run(
        "init", "--name", "example.org", "--base-url", "https://matrix.example.org", "--data", "/srv/chat"
    )
    config = load(Path("chamberlain.toml"), {})

    assert status == 0
    assert "chamberlain serve" in text
    assert config.server_name == "example.org"
    assert config.base_url == "https://matrix.example.org"
    assert config.data_dir == Path("/srv/chat")


def test_init_never_replaces_a_file_unasked() -> None:
    """A second `init` refuses; `--force` replaces."""
    assert run("init", "--name", "one.example")[0] == 0
    status, text = run("init", "--name", "two.example")

    assert status == 1
    assert "--force" in text
    assert load(Path("chamberlain.toml"), {}).server_name == "one.example"
    assert run("init", "--name", "two.example", "--force")[0] == 0
    assert load(Path("chamberlain.toml"), {}).server_name == "two.example"


def test_init_refuses_a_name_that_cannot_be() -> None:
    """A wrong name is refused before anything is written."""
    status, text = run("init", "--name", "https://example.org")

    assert status == 1
    assert "server_name" in text
    assert not Path("chamberlain.toml").exists()


def test_config_check_lists_every_problem() -> None:
    """All problems are told at once, each with the setting's name."""
    Path("chamberlain.toml").write_text("server_name = 'a b'\nbase_url = 'x'\n[cluster]\nworkers = 0\n")
    status, text = run("config", "check")

    assert status == 1
    assert [line.split(":")[1].strip() for line in text.splitlines()] == [
        "server_name",
        "base_url",
        "cluster.workers",
    ]


def test_config_example_checks_out() -> None:
    """`config example > FILE` gives a file that `config check` accepts."""
    Path("x.toml").write_text(run("config", "example", "--name", "example.net")[1])

    assert run("config", "check", "--config", "x.toml") == (
        0,
        "The settings of x.toml are good: example.net.\n",
    )


def test_config_explain_tells_type_default_and_variable() -> None:
    """A setting is explained by its own docstring; an unknown one is refused."""
    status, text = run("config", "explain", "database.synchronous")

    assert status == 0
    assert '"full" or "normal" or "off"' in text
    assert "CHAMBERLAIN__DATABASE__SYNCHRONOUS" in text
    assert run("config", "explain", "database.synchron")[0] == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell: str) -> None:
    """Each shell gets a script that asks chamberlain for its words."""
    status, text = run("completion", shell)

    assert status == 0
    assert "_CHAMBERLAIN_COMPLETE" in text


def test_a_wrong_flag_is_refused_in_words() -> None:
    """`--set` names unknown settings; a missing name says how to give one."""
    status, text = run("doctor", "--name", "a.example", "--set", "databse.url=x")

    assert status == 1
    assert "databse.url: no such setting" in text
    assert "--name" in run("serve")[1]


def test_doctor_finds_nothing_wrong_with_a_fresh_folder() -> None:
    """On a good set-up everything is ok or a hint, and the exit status is 0."""
    status, text = run("doctor", "--name", "example.org", "--set", "listeners.0.port=0", "--offline")

    assert status == 0
    assert "Nothing is wrong." in text


def test_doctor_reads_the_signing_key() -> None:
    """A file that holds something else is told before the server refuses it."""
    data_folder.prepare(Path("data"))
    key = Path("data/signing.key")
    key.write_text("secret")
    key.chmod(0o600)
    status, text = run("doctor", "--name", "example.org", "--offline")

    assert status == 1 and "data/signing.key, line 1" in text


def test_doctor_names_what_is_wrong() -> None:
    """A readable key, a taken port and settings for tests are each told with what to do."""
    data_folder.prepare(Path("data"))
    key = Path("data/signing.key")
    key.write_text("secret")
    key.chmod(0o644)
    taken = bind_tcp("127.0.0.1", 0)
    taken.listen()
    try:
        status, text = run(
            "doctor",
            "--name",
            "example.org",
            "--offline",
            "--set",
            f"listeners.0.port={taken.getsockname()[1]}",
            "--set",
            "passwords.hash_cost=lowest",
        )
    finally:
        taken.close()

    assert status == 1
    assert "chmod 600 data/signing.key" in text
    assert "cannot listen on 127.0.0.1" in text
    assert "for tests only" in text


def test_doctor_says_when_postgresql_does_not_answer() -> None:
    """A database that is not there is found without touching it."""
    status, text = run(
        "doctor",
        "--name",
        "example.org",
        "--offline",
        "--set",
        "listeners.0.port=0",
        "--database",
        "postgresql://nobody@127.0.0.1:1/none",
    )

    assert status == 1
    assert "PostgreSQL does not answer at 127.0.0.1 port 1" in text


def test_one_server_owns_a_data_folder(tmp_path: Path) -> None:
    """The second holder is refused with the first one's process id; afterwards the folder is free."""
    folder = tmp_path / "data"
    with data_folder.locked(folder):
        assert data_folder.is_in_use(folder)
        status, text = run("serve", "--name", "example.org", "--data", str(folder))

    assert status == 1
    assert "a server runs on the data folder" in text
    assert not data_folder.is_in_use(folder)
    assert folder.stat().st_mode & 0o077 == 0


def test_sqlite_with_several_workers_is_refused_with_the_reason() -> None:
    """`--workers 2` on SQLite does not start and says why."""
    status, text = run("serve", "--name", "example.org", "--workers", "2")

    assert status == 1
    assert "SQLite has one writer" in text
    assert not Path("data").exists()


def test_a_taken_port_is_told_before_anything_is_built() -> None:
    """`serve` says which port it cannot have."""
    taken = bind_tcp("127.0.0.1", 0)
    taken.listen()
    port = taken.getsockname()[1]
    try:
        status, text = run("serve", "--name", "example.org", "--port", str(port))
    finally:
        taken.close()

    assert status == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in text


def test_keys_are_listed_and_rotated() -> None:
    """The new one signs, the old one keeps its public half; never while a server runs."""
    name = ("--name", "x.example")
    assert run("keys", "list", *name)[0] == 1
    folder = Path("data")
    folder.mkdir()
    (folder / "signing.key").write_text(generate(bytes(32)).to_text())
    first = run("keys", "list", *name)[1].split()

    with data_folder.locked(folder):
        assert run("keys", "rotate", *name)[0] == 1
    status, text = run("keys", "rotate", *name)
    assert status == 0
    lines = run("keys", "list", *name)[1].splitlines()

    assert lines[0].split()[0] in text and lines[0].endswith("signs")
    assert lines[1].split()[:2] == first[:2] and " old since 20" in lines[1]
