"""What the servers of annotation tools have in common: an address, a token out of the environment, and patience."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import sleep
from typing import TypeVar
from urllib.parse import urlsplit

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.interface import Rejected, ToolUnreachable
from hybridal_ray.pool import storage
from hybridal_ray.requests.request import Request

FIRST_PAUSE = 1.0  # seconds, doubled with each further try
LONGEST_PAUSE = 60.0  # of what a server may ask for by Retry-After
PASSING = (408, 409, 425, 429)  # of the statuses that a request is refused with, those that may pass

Result = TypeVar("Result")


class Trouble(Exception):
    """A failure of a server that may pass.

    Args:
        reason: What it is.
        wait: Seconds that the server asks for.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


@dataclass(frozen=True)
class ToolServer:
    """A server that is asked again while it fails, and whose token is in the environment and nowhere else.

    Attributes:
        url: Its address, without a slash at the end.
        oracle: The name of the oracle that asks, for messages.
        token_variable: The environment variable that holds the token.
        tries: How often a thing is asked for.
    """

    url: str
    oracle: str
    token_variable: str
    tries: int

    def token(self) -> str:
        """The token.

        Raises:
            UserError: It is not in the environment.
        """
        token = os.environ.get(self.token_variable, "").strip()
        if not token:
            raise UserError(
                f"oracle.name: {self.oracle}: the environment variable {self.token_variable} is not set; it holds the "
                "token of a user of the server, made on that user's settings page there, and is nowhere else"
            )
        return token

    def patiently(self, step: Callable[[], Result], trouble_of: Callable[[Exception], Trouble | None]) -> Result:
        """Does a step, again after a pause where the server fails. A step must bear to be done twice.

        Args:
            step: What to do.
            trouble_of: What an exception of it means; None where it is none of the server's. It raises `UserError`
                where the server refuses for good.

        Raises:
            ToolUnreachable: It failed as often as is tried.
            UserError: The server refuses for good.
        """
        reason = ""
        for turn in range(self.tries):
            try:
                return step()
            except Exception as error:
                trouble = trouble_of(error)
                if trouble is None:
                    raise
                reason, wait = trouble.reason, trouble.wait
            if turn + 1 < self.tries:
                sleep(min(max(FIRST_PAUSE * 2**turn, wait), LONGEST_PAUSE))
        raise ToolUnreachable(f"{self.url}: {reason}, {self.tries} times")

    def refusal(self, status: int, body: object, headers: Mapping[str, str] | None) -> Trouble:
        """What a status other than 2xx means, where it may pass.

        Raises:
            UserError: It is for good.
        """
        if status in (401, 403):
            raise UserError(
                f"{self.url}: refuses the token ({status}); expected in the environment variable {self.token_variable} "
                "a token of a user who may make projects there"
            )
        if 300 <= status < 500 and status not in PASSING:
            raise UserError(f"{self.url}: {status}: {str(body)[:300]}")
        return Trouble(f"answers {status}", retry_after(headers))


def is_sent(request: Request, note: str, url: str) -> bool:
    """Whether a note beside a request says that the whole of it is on a server."""
    location = storage.join(request.directory, note)
    return storage.exists(location) and storage.read_json(location).get("url") == url


def gone(request: Request, note: str, source: str, kind: str, name: str = "") -> Rejected:
    """What to tell where a thing that was sent, ``project`` or ``task``, is on the server no more."""
    expected = f"the {kind}; delete {storage.join(request.directory, note)} to have it made anew"
    return Rejected(source, f"request {request.request}", f"{kind} {name}".rstrip(), "nothing", expected)


def checked_url(url: str, token_variable: str) -> str:
    """The address of a server.

    Raises:
        UserError: It is none, or holds a secret.
    """
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise UserError(f"oracle.options.url: found {url!r}, expected an address such as http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise UserError(f"oracle.options.url: holds a name or a password; expected none, the token is {token_variable}")
    return url.rstrip("/")


def check_patience(tries: int, timeout_seconds: float) -> None:
    """Checks how often and how long a server is asked, as the configuration says.

    Raises:
        UserError: One of them is none that can be.
    """
    if isinstance(tries, bool) or not isinstance(tries, int) or tries < 1:
        raise UserError(f"oracle.options.tries: found {tries!r}, expected a whole number from 1")
    if not isinstance(timeout_seconds, int | float) or not timeout_seconds > 0:
        raise UserError(f"oracle.options.timeout_seconds: found {timeout_seconds!r}, expected a number above 0")


def retry_after(headers: Mapping[str, str] | None) -> float:
    """Seconds that a server asks for; a date, which it may give instead, is left to the pauses of our own."""
    told = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), "")
    return float(told) if told.isascii() and told.isdigit() else 0.0
