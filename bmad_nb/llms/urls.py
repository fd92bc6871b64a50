"""Addresses of endpoints: which may be used, and which stay on this machine."""

from __future__ import annotations

import ipaddress
import urllib.parse

from bmad_nb.errors import SettingsError


def check_base_url(url: str, *, allow_http: bool = False) -> str:
    """Return an endpoint's base URL without its last slash.

    Args:
        url: such as `https://api.openai.com/v1`.
        allow_http: permit plain http to other machines than this one.

    Raises:
        SettingsError: the URL cannot be used, or a key would travel in clear text.

    >>> check_base_url("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    hint = "Write it like https://api.example.com/v1."
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise SettingsError("A base_url has characters that a URL cannot have.", hint=hint)
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError:
        raise SettingsError("A base_url is not a URL.", hint=hint) from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise SettingsError("A base_url needs http:// or https:// and a host.", hint=hint)
    if "@" in parts.netloc:  # not repeated in the message: what stands before @ may be a key
        raise SettingsError(
            "A base_url holds a user name or password.",
            hint='Take it out and give the key by reference: api_key = "env:NAME".',
        )
    if "?" in url or "#" in url:
        raise SettingsError(
            f"The base_url of host {host} has a query or a fragment.",
            hint='Take it out; a key is given by reference: api_key = "env:NAME".',
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise SettingsError(
            f"The base_url of host {host} is plain http, so its key could be read on the way.",
            hint="Use https, or set allow_http = true for this endpoint.",
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
