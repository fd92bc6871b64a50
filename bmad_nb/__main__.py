"""`python -m bmad_nb` is `bmad`."""

from bmad_nb.cli.main import main

main()
