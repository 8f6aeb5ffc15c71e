"""A headless Chromium, steered over its debugging protocol: pages are opened, clicked, typed into, and photographed."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from hybridal_ray.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 60.0
ANSWER_SECONDS = 20.0
KEY_CODES = {"Backspace": 8, "Escape": 27}
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--no-first-run")


def find_chromium() -> str | None:
    """The browser's executable: what the variable CHROMIUM names, else the first on the PATH."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """One page of a browser that lives as long as the ``with`` block.

    Args:
        width: Of the window, in pixels.
        height: Of the window, in pixels.

    Raises:
        UserError: There is no Chromium.
    """

    def __init__(self, width: int = 1600, height: int = 1000) -> None:
        executable = find_chromium()
        if executable is None:
            raise UserError("no Chromium on the PATH; install one, or name it in the variable CHROMIUM")
        self._command = [executable, *FLAGS, f"--window-size={width},{height}", "--remote-debugging-port=0"]

    def __enter__(self) -> "Chromium":
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        self._loop = asyncio.new_event_loop()
        self._process = subprocess.Popen(
            [*self._command, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._number = 0
        try:
            self._loop.run_until_complete(self._connect())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._session.close())
        self.close()

    def close(self) -> None:
        """Ends the browser and deletes its profile."""
        self._process.terminate()
        self._process.wait(30)
        self._loop.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol."""
        return self._loop.run_until_complete(self._call(method, parameters))

    def open(self, url: str) -> None:
        """Goes to a page."""
        self.call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page.

        Raises:
            RuntimeError: The script fails.
        """
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{script}: {told['exceptionDetails'].get('exception', {}).get('description')}")
        return told["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60.0) -> Any:
        """Waits until an expression is true, and returns its value.

        Raises:
            TimeoutError: It does not become so.
        """

        def ask() -> Any:
            try:
                return self.evaluate(script)
            except (RuntimeError, TimeoutError):  # a page that is being left never answers
                return None

        return wait_until(ask, script, seconds)

    def click(self, x: float, y: float) -> None:
        """Presses and releases the left button at a point of the window."""
        self.drag(x, y, x, y)

    def drag(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Presses the left button at one point and releases it at another."""
        self._mouse("mouseMoved", x1, y1, buttons=0)
        self._mouse("mousePressed", x1, y1)
        if (x1, y1) != (x2, y2):
            for part in (0.3, 0.6, 1.0):
                self._mouse("mouseMoved", x1 + (x2 - x1) * part, y1 + (y2 - y1) * part)
        self._mouse("mouseReleased", x2, y2)

    def press(self, key: str) -> None:
        """Presses and releases a key, such as ``Escape``."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEY_CODES[key])

    def screenshot(self, file: Path) -> None:
        """Writes what the window shows as PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _mouse(self, kind: str, x: float, y: float, buttons: int = 1) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    async def _connect(self) -> None:
        port_file = Path(self._profile) / "DevToolsActivePort"
        deadline = time.monotonic() + START_SECONDS
        while not (port_file.exists() and port_file.read_text().count("\n")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"{self._command[0]}: does not start")
            await asyncio.sleep(0.2)
        port = port_file.read_text().split()[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json") as answer:
            pages = [page for page in await answer.json() if page["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            told = json.loads((await self._socket.receive(timeout=ANSWER_SECONDS)).data)
            if told.get("id") == self._number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                return dict(told["result"])


def wait_until(ask: Callable[[], Any], what: str, seconds: float) -> Any:
    """Asks again and again until the answer is true, and returns it.

    Raises:
        TimeoutError: It does not become so.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)
    return answer
