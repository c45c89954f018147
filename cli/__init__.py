"""The command line: every command a file, plain words for people and `--json` for programs."""
