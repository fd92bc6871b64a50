"""A real kernel in a process of its own, driven as a front end drives it."""

from __future__ import annotations

import os
import queue
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parents[1]
MIME = "application/vnd.bmad.run+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LEAKS = re.compile(
    r"^(BMAD_(?!CACHE$).*|JUPYTER_.*|IPYTHON.*|PYTEST_.*|.*_API_KEY|.*_proxy)$", re.IGNORECASE
)


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment that shows this checkout, and no settings or keys of this machine."""
    env = {name: value for name, value in os.environ.items() if not _LEAKS.match(name)}
    env |= {
        "JUPYTER_CONFIG_DIR": str(home / "jupyter" / "config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter" / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter" / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": str(ROOT),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return {**env, **more}


@dataclass(slots=True)
class Reply:
    """What a cell brought back."""

    status: str
    """`ok`, `error` or `aborted`."""
    bundles: list[dict[str, Any]] = field(default_factory=list)
    """MIME bundles of displays and of the cell's value, in their order."""
    value: dict[str, Any] | None = None
    """The MIME bundle of the cell's value (its `Out`)."""
    stdout: str = ""
    stderr: str = ""
    ename: str = ""
    evalue: str = ""
    traceback: str = ""
    """As the front end shows it, without colours."""
    messages: list[str] = field(default_factory=list)
    """Types of all messages that show something in the end."""
    below: list[str] = field(default_factory=list)
    """Texts of the cells that the front end was asked to put below."""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """All that the cell shows as plain text."""
        shown = [each.get("text/plain", "") for each in self.bundles]
        return "\n".join([self.stdout, self.stderr, *shown, self.traceback])

    @property
    def run(self) -> dict[str, Any]:
        """The run in our own MIME type, of the last bundle that has one."""
        found = [each[MIME] for each in self.bundles if MIME in each]
        assert found, f"no bundle carries {MIME}: {self.text}"
        return found[-1]


class Kernel:
    """A Python kernel of this interpreter; use it in a `with`.

    Args:
        cwd: folder in which it starts.
        home: folder for the settings of Jupyter and IPython, all of them its own.
        env: variables on top of `clean_environment`.
    """

    def __init__(self, cwd: Path, home: Path, env: Mapping[str, str] | None = None) -> None:
        """Start nothing yet."""
        self.cwd = cwd
        home.mkdir(parents=True, exist_ok=True)
        self._env = clean_environment(home, **(env or {}))
        self._manager = KernelManager(connection_file=str(home / "kernel.json"))
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self._manager._kernel_spec = KernelSpec(argv=argv, language="python", display_name="test")
        self._client: BlockingKernelClient | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        self._manager.start_kernel(cwd=str(self.cwd), env=self._env)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=60)
        except BaseException:
            self.shutdown()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.shutdown()

    @property
    def client(self) -> BlockingKernelClient:
        """The client's end of the connection."""
        assert self._client is not None, "The kernel was not started."
        return self._client

    @property
    def pid(self) -> int:
        """Id of the kernel's process."""
        return int(self._manager.provisioner.pid)

    def shutdown(self) -> None:
        """End the kernel's process and free its ports."""
        if self._client is not None:
            self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        self._manager.context.destroy(linger=0)

    def execute(self, code: str, *, allow_stdin: bool = True, timeout_s: float = 60) -> Reply:
        """Run a cell and return what it showed; `allow_stdin=False` is what papermill says."""
        return self.finish(self.start(code, allow_stdin=allow_stdin), timeout_s=timeout_s)

    def value(self, expression: str) -> str:
        """Return the plain text of an expression's value; it must not raise."""
        reply = self.execute(expression)
        assert reply.status == "ok", reply.traceback
        return (reply.value or {}).get("text/plain", "")

    def start(self, code: str, *, allow_stdin: bool = True) -> str:
        """Send a cell and return the id with which `finish` waits for it."""
        return self.client.execute(code, allow_stdin=allow_stdin, store_history=True)

    def finish(self, message_id: str, *, timeout_s: float = 60) -> Reply:
        """Wait for a cell that was started."""
        began_s = time.monotonic()
        until_s = began_s + timeout_s
        reply = Reply("")
        idle = False
        while not idle:
            message = self._next(self.client.get_iopub_msg, until_s)
            if message["parent_header"].get("msg_id") == message_id:
                idle = _take(reply, message["msg_type"], message["content"])
        answer = self._answer(message_id, until_s)
        reply.status = answer["status"]
        reply.below = [each["text"] for each in answer.get("payload", ())
                       if each["source"] == "set_next_input"]  # fmt: skip
        reply.seconds = time.monotonic() - began_s
        return reply

    def answered(self) -> bool:
        """Whether a started cell is over, its answer not yet taken by `finish`."""
        return bool(self.client.shell_channel.msg_ready())

    def complete(self, code: str, position: int | None = None) -> tuple[list[str], str]:
        """Return what can stand at the cursor, and the text that it would replace."""
        at = len(code) if position is None else position
        content = self._answer(self.client.complete(code, at), time.monotonic() + 30)
        assert content["status"] == "ok", content
        return content["matches"], code[content["cursor_start"] : content["cursor_end"]]

    def inspect(self, code: str, position: int | None = None) -> str:
        """Return the help that Shift-Tab shows; empty if there is none."""
        at = len(code) if position is None else position
        content = self._answer(self.client.inspect(code, at), time.monotonic() + 30)
        return _ANSI.sub("", content["data"].get("text/plain", "")) if content["found"] else ""

    def interrupt(self) -> None:
        """Press the stop button."""
        self._manager.interrupt_kernel()

    def _answer(self, message_id: str, until_s: float) -> dict[str, Any]:
        while True:
            message = self._next(self.client.get_shell_msg, until_s)
            if message["parent_header"].get("msg_id") == message_id:
                content: dict[str, Any] = message["content"]
                return content

    def _next(self, channel: Any, until_s: float) -> dict[str, Any]:
        while True:
            assert time.monotonic() < until_s, "The kernel did not answer in time."
            assert self._manager.is_alive(), "The kernel died."
            try:
                message: dict[str, Any] = channel(timeout=1)
            except queue.Empty:
                continue
            return message


def _take(reply: Reply, kind: str, content: dict[str, Any]) -> bool:
    """Add one message to a reply; return whether it was the last one."""
    if kind == "status":
        return bool(content["execution_state"] == "idle")
    if kind == "execute_input":
        return False
    if kind == "clear_output":
        assert not content["wait"], "Waiting clears nothing where no output follows."
        reply.bundles, reply.stdout, reply.stderr, reply.messages = [], "", "", []
        return False
    reply.messages.append(kind)
    if kind == "stream":
        setattr(reply, content["name"], getattr(reply, content["name"]) + content["text"])
    elif kind in {"execute_result", "display_data", "update_display_data"}:
        reply.bundles.append(content["data"])
        if kind == "execute_result":
            reply.value = content["data"]
    elif kind == "error":
        reply.ename, reply.evalue = content["ename"], content["evalue"]
        reply.traceback = _ANSI.sub("", "\n".join(content["traceback"]))
    return False
