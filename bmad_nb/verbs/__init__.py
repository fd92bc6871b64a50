"""The verbs: one click tree for `%%bmad`, `%bmad` and `bmad`, with every option once."""
