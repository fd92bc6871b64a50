"""The catalogue of planted faults: what each one is, and where it has a meaning."""

from __future__ import annotations

MEANINGS = {
    # refusals before the model works
    "context": "the prompt is longer than the model's window",
    "quota": "the account has no quota or money left; waiting does not help",
    "redirect": "307 to the trap; 301, 302, 303 and 308 are there as statuses",
    "retry_date": "429 with Retry-After as an HTTP date 2 s ahead",
    "retry_garbage": "429 with a Retry-After that is no time",
    "retry_huge": "429 with a Retry-After of 10 to the 12th seconds",
    "retry_inf": "429 with Retry-After: inf",
    "retry_ms": "429 with retry-after-ms: 250 and no Retry-After",
    "retry_negative": "429 with Retry-After: -5",
    "retry_none": "429 without any time",
    "retry_past": "429 with an HTTP date long past",
    "retry_reset": "429 whose time stands in the provider's own headers, or in Gemini's RetryInfo",
    "wrapped_429": "a rate limit inside of a 200; in a stream it is the only event",
    # what the model says
    "control": "escape, bell, backspace and bidirectional characters in the text",
    "empty": "no text, and the normal end",
    "filter": "no text, held back by the content filter",
    "filter_late": "half of the text, then the content filter",
    "length": "no text, because max_tokens was used up",
    "lone_surrogate": "half of a surrogate pair in the text, as a JSON escape",
    "no_finish": "the text and the terminator, but no finish reason",
    "no_usage": "no count of tokens",
    "nul": "U+0000 in the text",
    "odd_content": "content of a type that is no text",
    "refusal": "the model, or Gemini's check of the prompt, refuses",
    "tool_call": "a call of a tool instead of text",
    "truncated": "half of the text, ended by max_tokens",
    "usage_huge": "counts of 10 to the 30th",
    "usage_negative": "negative counts",
    "usage_null": "null for each count",
    "usage_text": "words for each count",
    "wrong_role": "an answer in the role `robot`",
    # documents that are none, or more than one
    "bad_json": "JSON with a wrong sign in it; in a stream the middle event",
    "bad_utf8": "bytes in the text that are not UTF-8",
    "deep_json": "200,000 brackets deep",
    "nan": "NaN as the value of an unknown field",
    "truncated_json": "JSON that lacks its last bytes, in a body that is whole",
    "two_json": "the document twice, one behind the other",
    "unknown_fields": "a field that nobody knows in each document",
    # the order of a stream
    "after_terminator": "text behind the terminator",
    "crlf": r"line ends of \r\n, blank lines, and comments in SSE",
    "double_terminator": "the terminator twice",
    "huge_line": "one line of 40 MiB",
    "no_end": "a clean end after half of the text, without finish reason and terminator",
    "no_terminator": "text and finish reason, then a clean end without the terminator",
    "plain_for_stream": "one whole document where a stream was asked for",
    "stream_for_plain": "a stream where one document was asked for",
    "stream_overloaded": "half of the text, then the error `overloaded`",
    "stream_server_error": "half of the text, then a server error",
    "unknown_events": "events of a type that nobody knows",
    # bodies
    "bad_gzip": "a body that says gzip and is none",
    "brotli": "a packing that was not asked for",
    "empty_body": "200 and no byte",
    "flood": "5,000 keep-alive comments or blank lines amid the answer",
    "gzip_bomb": "200 kB that unpack to 200 MiB",
    "html": "200 and a web page",
    "huge": "40 MiB without a Content-Length: blanks, or in a stream text",
    "split": "the answer in writes of one byte",
    "wrong_type": "the right answer as text/plain",
    # times
    "drip": "one byte each 0.02 s",
    "hang": "nothing, for ever",
    "hang_body": "the head, then nothing for ever",
    "slow": "slow_s more before the head",
    "slow_first_byte": "slow_s between head and body",
    "stall": "half of the body, then nothing for ever",
    # connections
    "cut": "closed after half of the body",
    "cut_500": "closed amid the body of a 500",
    "cut_chunk": "closed amid an HTTP chunk",
    "cut_head": "closed before the head",
    "garbage": "bytes that are no HTTP",
    "reset": "reset before the head",
    "reset_body": "reset after half of the body",
}  # fmt: skip
"""What each fault is."""
FAULTS = frozenset(MEANINGS)
"""Names of faults; besides, any HTTP status from 300 to 599, and `ok` for none."""

GOOD = frozenset({
    "ok", "after_terminator", "control", "crlf", "double_terminator", "drip", "flood",
    "lone_surrogate", "no_finish", "no_terminator", "no_usage", "nul", "plain_for_stream", "slow",
    "slow_first_byte", "split", "stream_for_plain", "truncated", "unknown_events",
    "unknown_fields", "usage_huge", "usage_negative", "usage_null", "usage_text", "wrong_role",
    "wrong_type",
})  # fmt: skip
"""Requests that end with a usable answer for a lenient client: all that was said arrived."""
_UNBILLED = frozenset({
    "bad_gzip", "brotli", "context", "cut_500", "cut_head", "empty_body", "garbage", "gzip_bomb",
    "hang", "html", "huge", "huge_line", "quota", "redirect", "reset", "retry_date",
    "retry_garbage", "retry_huge", "retry_inf", "retry_ms", "retry_negative", "retry_none",
    "retry_past", "retry_reset", "wrapped_429",
})  # fmt: skip
BILLED = (FAULTS | {"ok"}) - _UNBILLED
"""Requests that cost money: the model has worked on them."""
STREAM_ONLY = frozenset({
    "after_terminator", "crlf", "double_terminator", "huge_line", "no_end", "no_terminator",
    "plain_for_stream", "stream_overloaded", "stream_server_error", "unknown_events",
})  # fmt: skip
PLAIN_ONLY = frozenset({"stream_for_plain"})
MEANINGLESS = {
    # its only refusal is the stop reason `refusal`, which the fault of that name has
    "anthropic": frozenset({"filter"}),
    # its stream has no terminator, so that the finish reason is the only end
    "gemini": frozenset({"after_terminator", "double_terminator", "no_finish", "no_terminator"}),
    # one line is finish reason and terminator; nothing in its format says that it refused
    "ollama": frozenset({"filter", "filter_late", "no_terminator", "refusal"}),
}
"""By format, the faults that it cannot spell."""


def objection(fault: str, shape: str, *, stream: bool) -> str:
    """Return why a fault cannot be planted in an answer of this kind, or nothing if it can."""
    if fault in (PLAIN_ONLY if stream else STREAM_ONLY):
        where = "in a stream" if stream else "outside of a stream"
        return f"fault {fault} has no meaning {where}"
    if fault in MEANINGLESS.get(shape, ()):
        return f"fault {fault} has no meaning in the format {shape}"
    return ""
