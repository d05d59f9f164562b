"""How settings come together from a file, the environment and flags."""

from pathlib import Path

import pytest

from chamberlain.config import ConfigError
from chamberlain.config.load import load, parse_text, remember_name


def _write(folder: Path, text: str) -> Path:
    file = folder / "chamberlain.toml"
    file.write_text(text)
    return file


def test_a_name_is_enough() -> None:
    """With a server name alone, everything else has a default that works on this machine."""
    config = load(environment={}, flags={"server_name": "example.org"})

    assert config.public_url == "https://example.org"
    assert config.database_url == "sqlite:///data/chamberlain.db"
    assert config.signing_key_path == Path("data/signing.key")
    assert config.media_path == Path("data/media")
    assert [listener.where for listener in config.listeners] == ["http://127.0.0.1:8008"]


def test_without_a_name_it_says_how_to_give_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one setting without default is asked for by its name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--name") as refused:
        load(environment={})

    assert refused.value.key == "server_name"


def test_a_data_folder_remembers_its_server(tmp_path: Path) -> None:
    """Commands beside existing data need no name; a name that is given wins over the remembered one."""
    first = load(environment={}, flags={"server_name": "example.org", "data_dir": str(tmp_path)})
    remember_name(first)

    assert load(environment={}, flags={"data_dir": str(tmp_path)}) == first
    other = load(environment={}, flags={"server_name": "other.example", "data_dir": str(tmp_path)})
    assert other.server_name == "other.example"


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    """Each source overrides the one before, setting by setting."""
    file = _write(
        tmp_path,
        "server_name = 'file.example'\n[database]\npool_size = 1\nurl = 'postgresql://f/x'\n[log]\nlevel = 'error'\n",
    )
    environment = {
        "CHAMBERLAIN__DATABASE__POOL_SIZE": "2",
        "CHAMBERLAIN__DATABASE__URL": "postgresql://env/x",
        "CHAMBERLAIN": "not ours",
        "PATH": "/bin",
    }
    config = load(file, environment, {"database.pool_size": 3})

    assert (config.database.pool_size, config.database.url) == (3, "postgresql://env/x")
    assert config.log.level == "error"


def test_the_environment_reaches_every_kind_of_setting() -> None:
    """Numbers, switches, texts, lists, tables and list entries can all be written in a variable."""
    config = load(
        environment={
            "CHAMBERLAIN__SERVER_NAME": "12345.example",
            "CHAMBERLAIN__FEDERATION__ENABLED": "False",
            "CHAMBERLAIN__FEDERATION__DENY": "*.bad.example, worse.example",
            "CHAMBERLAIN__FEDERATION__ALLOW": '["good.example"]',
            "CHAMBERLAIN__RATE_LIMITS__SEND": "{ per_second = 1.5, burst = 3 }",
            "CHAMBERLAIN__LISTENERS__0__PORT": "8010",
            "CHAMBERLAIN__LISTENERS__1__UNIX_SOCKET": "/run/chamberlain.sock",
            "CHAMBERLAIN__REGISTRATION__SHARED_SECRET": "123",
            "CHAMBERLAIN__METRICS__PORT": "9000",
        }
    )

    assert config.server_name == "12345.example"
    assert config.federation.enabled is False
    assert config.federation.deny == ("*.bad.example", "worse.example")
    assert config.federation.allow == ("good.example",)
    assert (config.rate_limits.send.per_second, config.rate_limits.send.burst) == (1.5, 3)
    assert [listener.where for listener in config.listeners] == [
        "http://127.0.0.1:8010",
        "unix:/run/chamberlain.sock",
    ]
    assert config.registration.shared_secret == "123"
    assert config.metrics.port == 9000


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[log]\nlevle = 'info'", "log"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("[[listeners]]\nport = 'x'", "listeners[0].port"),
        ("[[listeners]]\n[[listeners]]\nport = 70000", "listeners[1].port"),
        ("[[listeners]]\ntls_key = 'x.pem'", "listeners[0].tls_key"),
        ("[[listeners]]\ntrusted_proxies = ['nowhere']", "listeners[0].trusted_proxies"),
        ("listeners = []", "listeners"),
        ("base_url = 'matrix.example.org'", "base_url"),
        ("default_room_version = '99'", "default_room_version"),
        ("[database]\nurl = 'mysql://x'", "database.url"),
        ("[cluster]\nworkers = 2", "cluster.workers"),
        ("[cluster]\nshared = true", "cluster.shared"),
        ("[rate_limits]\nsend = { per_second = 0.0, burst = 1 }", "rate_limits.send"),
        ("[outbound]\nblocked_addresses = ['300.0.0.0/8']", "outbound.blocked_addresses"),
        ("[appservices]\nfiles = ['missing.yaml']", "appservices.files[0]"),
        ("[federation]\nca_files = ['missing.pem']", "federation.ca_files[0]"),
        ("[federation]\nca_files = ['/dev/null']", "federation.ca_files[0]"),
        ("[federation]\ntrusted_key_servers = ['no name']", "federation.trusted_key_servers[0]"),
        ("[smtp]\nhost = 'mail.example.org'", "smtp.sender"),
        ("[server_notices]\nlocalpart = 'A B'", "server_notices.localpart"),
        ("[registration]\nshared_secret_file = 'missing'", "registration.shared_secret_file"),
        ("[[sso.oidc]]\nid = 'a'\nissuer = 'https://i'", "sso.oidc[0]"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, key: str) -> None:
    """Whatever is wrong in a file, the refusal names the setting."""
    top, bracket, rest = text.partition("[")
    file = _write(tmp_path, f"server_name = 'example.org'\n{top}{bracket}{rest}\n")
    with pytest.raises(ConfigError) as refused:
        load(file, {})

    assert refused.value.key == key


@pytest.mark.parametrize("name", ["", "exa mple.org", "https://example.org", "example.org/", "ex:a:b"])
def test_a_name_that_no_server_can_have_is_refused(name: str) -> None:
    """The server name must be a host name, with a port at most."""
    with pytest.raises(ConfigError) as refused:
        load(environment={}, flags={"server_name": name})

    assert refused.value.key == "server_name"


def test_an_unknown_variable_is_refused() -> None:
    """A misspelled environment variable is an error, not silently nothing."""
    with pytest.raises(ConfigError, match="CHAMBERLAIN__DATABASE__ULR"):
        load(environment={"CHAMBERLAIN__SERVER_NAME": "a.example", "CHAMBERLAIN__DATABASE__ULR": "x"})


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    """`*_file` fills the setting of the same name, without the newline that editors add."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    config = load(
        environment={},
        flags={
            "server_name": "example.org",
            "registration.shared_secret_file": str(secret),
            "registration.captcha.secret_file": str(secret),
        },
    )

    assert config.registration.shared_secret == "s3cret"
    assert config.registration.captcha.secret == "s3cret"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"server_name = ", b"a\n"])
def test_a_file_that_is_not_toml_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    """A broken file gives a ConfigError that names the file, never a traceback."""
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        load(file, {})


def test_a_missing_file_is_refused_in_words(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load(tmp_path / "missing.toml", {})


def test_workers_are_allowed_on_postgresql() -> None:
    """Several workers are refused on SQLite alone."""
    config = load(
        environment={},
        flags={"server_name": "a.example", "database.url": "postgresql:///x", "cluster.workers": 4},
    )

    assert config.cluster.workers == 4
    assert not config.is_sqlite


def test_text_settings_are_taken_as_they_stand() -> None:
    """A password of digits stays text."""
    assert parse_text("0123", str) == "0123"
