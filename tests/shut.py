"""Python processes that cannot leave this machine, and a record of what they tried.

They need the folder of `hook` on PYTHONPATH, and NET_RECORD, the file of the record. If OPEN_MARK
is set, it also records which files, folders and commands with that word in them were opened.
"""

from __future__ import annotations

from pathlib import Path

SHUT = '''
"""Loaded by every Python process of the test: refuses whatever leaves this machine."""
import os, sys

def _note(kind, what):
    line = f"{kind} {os.getpid()} {what!r}\\n".encode()
    descriptor = os.open(os.environ["NET_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line)
    os.close(descriptor)

def _is_here(host):
    host = host.decode() if isinstance(host, bytes) else host
    return host in (None, "", "localhost", "::1", "::", "0.0.0.0") or host.startswith("127.")

def _hook(event, args):
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        if isinstance(address, tuple) and not _is_here(address[0]):
            _note("refused", address)
            raise PermissionError(f"The network is shut: {address}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _is_here(args[0]):
        _note("refused", args[0])
        raise PermissionError(f"The network is shut: {args[0]}")
    elif event in ("open", "subprocess.Popen", "os.system", "os.listdir"):
        mark = os.environ.get("OPEN_MARK")
        if mark and mark in repr(args[:2]):  # the rest may be the whole environment
            _note("opened", args[:2])

sys.addaudithook(_hook)
_note("watching", sys.orig_argv)
'''


def hook(folder: Path) -> Path:
    """Write the hook into a new folder and return that."""
    made = folder / "hook"
    made.mkdir()
    (made / "sitecustomize.py").write_text(SHUT)
    return made
