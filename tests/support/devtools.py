"""A page in a headless Chromium, driven over the pipe of its DevTools protocol: no port, no driver, no library."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

# Chromium reads commands from its file descriptor 3 and writes answers to 4, each ended by a null character.
_INHERIT = 'exec 3<&{commands} 4>&{answers}; exec "$@"'


class Page:
    """One page of a browser that has no past."""

    def __init__(self, browser: str, profile: Path) -> None:
        """Start the browser; `profile` is a folder for it."""
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        options = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1400,3000",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        )
        self._process = subprocess.Popen(
            ["bash", "-c", _INHERIT.format(commands=commands, answers=answers), "bash", browser, *options],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._number = 0
        self._session: str | None = None
        self._buffer = b""
        target = next(info for info in self._send("Target.getTargets")["targetInfos"] if info["type"] == "page")
        attached = self._send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self._send("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def _send(self, method: str, *, seconds: float = 60, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            while b"\0" not in self._buffer:
                assert select.select([self._answers], [], [], max(0, end - time.monotonic()))[0], f"{method}: no answer"
                received = os.read(self._answers, 1 << 20)
                assert received, "the browser has ended"
                self._buffer += received
            text, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str) -> None:
        """Open an address."""
        self._send("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression; a promise is waited for."""
        answer = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self._is_true(script):
            assert time.monotonic() < end, f"never: {script}\n{self.evaluate('document.body.innerText')[:3000]}"
            time.sleep(0.1)

    def _is_true(self, script: str) -> bool:
        try:
            return bool(self.evaluate(f"Boolean({script})"))
        except AssertionError:  # while a page is loading, nothing of it is there
            return False

    def click(self, element: str) -> None:
        """Click into the middle of an element that an expression gives."""
        box = self.evaluate(
            f"(() => {{const e = {element}; e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def replace_text(self, element: str, text: str) -> None:
        """Click into a field, and put a text in the place of what is in it."""
        self.click(element)
        self.press("a", modifiers=2)
        if text:
            self._send("Input.insertText", text=text)
        else:
            self.press("Delete")

    def delete_rest(self) -> None:
        """Delete what follows the cursor in a field of several lines."""
        self.press("End", modifiers=10)
        self.press("Delete")

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press a key; of the modifiers, 2 is Ctrl and 8 is Shift."""
        codes = {"a": 65, "Delete": 46, "Tab": 9, "End": 35}
        commands = ["selectAll"] if (key, modifiers) == ("a", 2) else []
        for kind in ("rawKeyDown", "keyUp"):
            more = {"commands": commands} if kind == "rawKeyDown" else {}
            self._send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code="KeyA" if key == "a" else key,
                windowsVirtualKeyCode=codes[key],
                modifiers=modifiers,
                **more,
            )

    def screenshot(self, file: Path) -> None:
        """Save what the page shows."""
        import base64

        file.write_bytes(base64.b64decode(self._send("Page.captureScreenshot")["data"]))
