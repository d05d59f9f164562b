"""The servers under test, each fresh, knowing the authority that certified the hand-made servers."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import orjson

from bench.target import SECRET, Target, free_port, postgres, ready

NAME = "bench.test"

CHAMBERLAIN = """\
server_name = "bench.test"
data_dir = "{folder}"

[[listeners]]
address = "127.0.0.1"
port = {port}

[database]
url = "{database}"

[registration]
enabled = true
shared_secret = "{secret}"

[rate_limits]
enabled = false

[presence]
enabled = false

[federation]
ca_files = ["{ca_file}"]
trusted_key_servers = {notaries}

[outbound]
allowed_addresses = ["127.0.0.0/8"]

[log]
level = "warning"
"""

SYNAPSE = """\
server_name: bench.test
pid_file: {folder}/synapse.pid
listeners:
  - port: {port}
    type: http
    bind_addresses: ["127.0.0.1"]
    resources: [{{names: [client, federation]}}]
database: {database}
log_config: {folder}/log.yaml
media_store_path: {folder}/media
signing_key_path: {folder}/signing.key
macaroon_secret_key: bench
form_secret: bench
registration_shared_secret: {secret}
report_stats: false
presence: {{enabled: false}}
trusted_key_servers: []
federation_custom_ca_list: ["{ca_file}"]
ip_range_blacklist: []
federation_ip_range_blacklist: []
rc_federation: {{window_size: 1000, sleep_limit: 1000000, sleep_delay: 0, reject_limit: 1000000, concurrent: 1000}}
rc_message: {{per_second: 100000, burst_count: 100000}}
rc_registration: {{per_second: 100000, burst_count: 100000}}
rc_joins:
  local: {{per_second: 100000, burst_count: 100000}}
  remote: {{per_second: 100000, burst_count: 100000}}
rc_joins_per_room: {{per_second: 100000, burst_count: 100000}}
"""

LOG = """\
version: 1
handlers: {output: {class: logging.StreamHandler}}
root: {level: WARNING, handlers: [output]}
disable_existing_loggers: false
"""

Started = contextlib.AbstractAsyncContextManager[Target]


@contextlib.asynccontextmanager
async def chamberlain(database: str, ca_file: Path, notaries: Sequence[str] = ()) -> AsyncIterator[Target]:
    """A fresh chamberlain of this checkout. `notaries`: servers that it asks for the keys of others."""

    def write(folder: Path, url: str | None, port: int) -> list[str]:
        config = folder / "chamberlain.toml"
        text = CHAMBERLAIN.format(
            folder=folder,
            port=port,
            database=url or f"sqlite:///{folder}/chamberlain.db",
            secret=SECRET,
            ca_file=ca_file,
            notaries=orjson.dumps(list(notaries)).decode(),
        )
        config.write_text(text)
        return [sys.executable, "-m", "chamberlain", "serve", "--config", str(config)]

    async with _started("chamberlain", database, write) as target:
        yield target


@contextlib.asynccontextmanager
async def synapse(database: str, ca_file: Path, python: Path) -> AsyncIterator[Target]:
    """A fresh Synapse, out of the environment that `python` belongs to."""

    def write(folder: Path, url: str | None, port: int) -> list[str]:
        if url is None:
            settings = f'{{name: sqlite3, args: {{database: "{folder}/synapse.db"}}}}'
        else:
            settings = f'{{name: psycopg2, args: {{dsn: "{url}", cp_min: 5, cp_max: 10}}}}'
        (folder / "log.yaml").write_text(LOG)
        config = folder / "homeserver.yaml"
        config.write_text(
            SYNAPSE.format(folder=folder, port=port, database=settings, secret=SECRET, ca_file=ca_file)
        )
        command = [str(python), "-m", "synapse.app.homeserver", "--config-path", str(config)]
        subprocess.run([*command, "--generate-keys"], check=True, stdout=subprocess.DEVNULL)
        return command

    async with _started("synapse", database, write) as target:
        yield target


@contextlib.asynccontextmanager
async def _started(
    name: str, database: str, write: Callable[[Path, str | None, int], list[str]]
) -> AsyncIterator[Target]:
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-bench-"))
    url, database_pids, stop = postgres(folder) if database == "postgres" else (None, [], None)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = write(folder, url, port)
    began = time.perf_counter()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        await ready(base, process)
        yield Target(base, SECRET, [process.pid, *database_pids], time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(timeout=60)
        if stop is not None:
            stop()
        print(f"{name} logged:", (folder / "output").read_text()[-2000:], file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
