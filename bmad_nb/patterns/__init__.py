"""How a task is done in several parts: generators without input, output, clock or money."""
