"""What is shown: HTML, SVG and terminal text, made from plain rows and from nothing else."""
