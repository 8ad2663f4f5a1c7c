"""The command line: one module per command, imported when that command runs. Knows everything below it; is known by none."""
