"""Write `client_server.toml` and `server_server.toml` in `tests/contract/spec`: what the specification says, in facts.

python tools/spec_facts.py FOLDER    a checkout of the Matrix specification
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).resolve().parent.parent / "tests/contract/spec"
HEAD = "# Made by tools/spec_facts.py from the Matrix specification, version 1.19. Do not edit."
METHODS = ("get", "put", "post", "delete")
SCHEMES = {
    "accessToken": "token",
    "accessTokenBearer": "token",
    "appserviceAccessTokenBearer": "appservice",
    "signedRequest": "server",
}
NO_ERRCODES = {"M_EXAMPLE_ERROR", "M_ROOT", "M_RATCHET", "M_KEYS"}


def operations(folder: Path, api: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path below the server, and description of each operation of an API."""
    for file in sorted((folder / "data/api" / api).glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        base = document["servers"][0]["variables"].get("basePath", {}).get("default", "")
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method.upper(), base.rstrip("/") + path, item[method]


def auth_of(operation: dict[str, Any]) -> str:
    """`none`, `optional`, `token`, `appservice` or `server`."""
    schemes = [SCHEMES[name] for choice in operation.get("security", []) for name in choice]
    if not schemes:
        return "none"
    return "optional" if {} in operation["security"] else schemes[0]


def guest_operations(folder: Path) -> set[str]:
    """What the module on guest access lists."""
    text = (folder / "content/client-server-api/modules/guest_access.md").read_text()
    return {f"{method} {path}" for method, path in re.findall(r"\[(GET|PUT|POST|DELETE) (/\S+)\]\(#", text)}


def is_for_guests(method: str, path: str, guests: set[str]) -> bool:
    """Whether the module on guest access names an operation."""
    short = path.removeprefix("/_matrix/client/v1").removeprefix("/_matrix/client/v3")
    return f"{method} {short}" in guests | {
        "PUT /profile/{userId}/{keyName}",
        "DELETE /profile/{userId}/{keyName}",
    }


def errcodes(folder: Path) -> list[str]:
    """Every errcode that stands anywhere in the specification of a homeserver."""
    found: set[str] = set()
    for part in ("data/api", "content"):
        for file in (folder / part).rglob("*"):
            if file.suffix in (".yaml", ".md") and "changelog" not in file.parts:
                found.update(re.findall(r"\bM_[A-Z][A-Z_]*[A-Z]\b", file.read_text()))
    return sorted(found - NO_ERRCODES)


def render_server_server(folder: Path) -> str:
    """The whole file of the server-server API."""
    facts = {
        f"{method} {path.strip()}": f'{{ auth = "{auth_of(operation)}" }}'
        for method, path, operation in operations(folder, "server-server")
    }
    return "\n".join([HEAD, "", "[operations]", *(f'"{name}" = {fact}' for name, fact in facts.items()), ""])


def render_client_server(folder: Path) -> str:
    """The whole file of the client-server API."""
    guests = guest_operations(folder)
    facts_of: dict[str, str] = {}
    lines = [
        HEAD,
        "",
        "[operations]",
    ]
    for method, path, operation in operations(folder, "client-server"):
        auth = auth_of(operation)
        facts = [f'auth = "{auth}"']
        facts += ["limited = true"] if "429" in operation["responses"] else []
        facts += ["guests = true"] if auth == "token" and is_for_guests(method, path, guests) else []
        facts += ["deprecated = true"] if operation.get("deprecated") else []
        facts_of.setdefault(f"{method} {path.strip()}", f"{{ {', '.join(facts)} }}")
    lines += [f'"{name}" = {facts}' for name, facts in facts_of.items()]
    lines += ["", "[errors]", "codes = ["]
    lines += [f'  "{code}",' for code in errcodes(folder)]
    return "\n".join([*lines, "]", ""])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    checkout = Path(sys.argv[1])
    (TARGET / "client_server.toml").write_text(render_client_server(checkout), encoding="utf-8")
    (TARGET / "server_server.toml").write_text(render_server_server(checkout), encoding="utf-8")
