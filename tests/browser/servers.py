"""A real JupyterLab or Notebook 7 on loopback, with folders and settings of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from bmad_nb.llms import weights
from tests.kernel import ROOT, clean_environment
from tests.shut import hook

APPS = {
    "lab": ("lab", "LabApp", "lab/tree"),
    "notebook": ("notebook", "JupyterNotebookApp", "notebooks"),
}
"""Command, the class that shows the application to the page, and where a notebook is opened."""
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # All cells are in the page, those that are out of sight too: tests read them.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "scrollPastEnd": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}


class Jupyter:
    """One server; use it in a `with`.

    Args:
        app: `lab` or `notebook`.
        folder: an empty folder for everything that it writes; `project` in it is what it serves.
        env: variables on top of `clean_environment`.
    """

    def __init__(self, app: str, folder: Path, env: Mapping[str, str] | None = None) -> None:
        """Start nothing yet."""
        self.app = app
        self.project = folder / "project"
        self.project.mkdir(parents=True)
        self._token = secrets.token_hex(16)
        self._folder = folder
        self.network = folder / "net.txt"
        """What the server's and the kernels' Python tried to reach outside of this machine."""
        settings = folder / "settings"
        for name, values in SETTINGS.items():
            path = settings / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        home = folder / "home"
        self._env = {
            **clean_environment(home),
            "HOME": str(home),
            "BMAD_CACHE": str(weights.cache_folder()),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_PLATFORM_DIRS": "0",
            "NET_RECORD": str(self.network),
            "PYTHONPATH": os.pathsep.join([str(hook(folder)), str(ROOT)]),
            **(env or {}),
        }
        home.mkdir()
        self._log = (folder / "server.log").open("w")
        self._process: subprocess.Popen[bytes] | None = None
        self._base = ""

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        command, shown, _ = APPS[self.app]
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "jupyter", command, "--no-browser", "--allow-root",
                "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={self._token}", f"--ServerApp.root_dir={self.project}",
                f"--{shown}.expose_app_in_browser=True", "--LabApp.news_url=None",
                # A page that draws for long on a busy machine keeps its connection.
                "--ServerApp.websocket_ping_interval=600000",
                "--ServerApp.websocket_ping_timeout=600000",
            ],
            env=self._env, cwd=self.project, stdout=self._log, stderr=self._log,
            start_new_session=True,
        )  # fmt: skip
        try:
            self._base = self._wait_until_it_answers()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and its kernels."""
        self._end()

    @property
    def left(self) -> list[str]:
        """What its Python processes tried to reach outside of this machine."""
        return self._recorded("refused")

    @property
    def opened(self) -> list[str]:
        """The files, folders and commands with OPEN_MARK in them that its processes opened."""
        return self._recorded("opened")

    def _recorded(self, kind: str) -> list[str]:
        lines = self.network.read_text().splitlines() if self.network.exists() else []
        return [line for line in lines if line.startswith(kind)]

    def url(self, path: str) -> str:
        """Return the address at which a notebook of the project opens, with the token."""
        reset = "&reset" if self.app == "lab" else ""
        return f"{self._base}{APPS[self.app][2]}/{path}?token={self._token}{reset}"

    def say(self) -> str:
        """Return the end of the server's log."""
        self._log.flush()
        return (self._folder / "server.log").read_text(errors="replace")[-3000:]

    def _wait_until_it_answers(self, timeout_s: float = 120) -> str:
        assert self._process is not None
        runtime = Path(self._env["JUPYTER_RUNTIME_DIR"])
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            assert self._process.poll() is None, f"The server ended:\n{self.say()}"
            for found in runtime.glob("jpserver-*.json"):
                try:
                    url: str = json.loads(found.read_text())["url"]
                    if httpx.get(f"{url}api/status?token={self._token}").is_success:
                        return url
                except (httpx.TransportError, ValueError):
                    pass  # it is still being written, or the port does not listen yet
            time.sleep(0.1)
        raise AssertionError(f"The server does not answer:\n{self.say()}")

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()
