"""One step: a question or a function call, with its retries, repairs and fallbacks."""
