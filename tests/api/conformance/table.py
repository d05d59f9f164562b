"""Tables of requests and what must be answered, checked row by row, so that one run shows every row that is wrong."""

from collections.abc import Iterable
from typing import Any

from tests.support.asgi import Answer
from tests.support.server import Client

Row = tuple[str, str, Any, int, str | None]
"""Method, path, body, and the status and errcode that must come back; no errcode: none must."""

PASSWORD = "correct horse battery"


def found(answer: Answer) -> tuple[int, str | None]:
    """Status and errcode of an answer."""
    return answer.status, answer.json.get("errcode") if isinstance(answer.json, dict) else None


async def check(client: Client, rows: Iterable[Row]) -> None:
    """Send each request, and say which ones were answered in another way than they must be."""
    wrong = []
    for method, target, body, status, errcode in rows:
        answer = await client.request(method, target, body)
        if found(answer) != (status, errcode):
            sent = body if len(repr(body)) < 200 else f"{str(body)[:100]}…"
            wrong.append(f"{method} {target[:120]} {sent!r}: {found(answer)}, not {(status, errcode)}")
    assert not wrong, "\n".join(wrong)


def proof(user: str, password: str = PASSWORD, session: str | None = None) -> dict[str, Any]:
    """The password stage of user-interactive authentication."""
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password,
    }
    return auth if session is None else auth | {"session": session}
