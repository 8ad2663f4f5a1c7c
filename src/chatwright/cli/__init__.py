"""The command line: one module per command, imported when that command runs. Known by no other room."""
