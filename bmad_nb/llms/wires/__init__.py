"""Wire formats: how each provider's HTTP interface says a request and an answer."""
