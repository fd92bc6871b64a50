"""Documents of other tools as workflows: what is in them, and what could not be taken over."""
