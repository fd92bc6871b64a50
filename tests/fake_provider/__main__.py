"""Run the fake provider as a process of its own: `python -m tests.fake_provider --config FILE`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from tests.fake_provider.config import Config
from tests.fake_provider.server import Server


async def _run(config: Config, port: int, *, until_stdin_closes: bool) -> None:
    server = Server(config)
    await server.start(port)
    started = {"url": server.url, "trap_url": server.trap_url, "pid": os.getpid()}
    print(json.dumps(started), flush=True)
    if until_stdin_closes:
        # so that no server outlives a test run that was killed
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    else:
        await asyncio.Event().wait()
    await server.stop()


def main() -> None:
    """Print one line of JSON with the URL, then serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_provider", description=__doc__)
    parser.add_argument("--config", default="{}", help="a JSON file, or the JSON itself")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    text = options.config
    if not text.lstrip().startswith("{"):
        text = Path(text).read_text(encoding="utf-8")
    config = Config.from_json(json.loads(text))
    try:
        asyncio.run(_run(config, options.port, until_stdin_closes=options.until_stdin_closes))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
