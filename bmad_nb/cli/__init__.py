"""The command line: the shell's face of the verbs."""
