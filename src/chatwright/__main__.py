"""``python -m chatwright`` is the same program as the ``chatwright`` command."""

from chatwright.cli.app import main

if __name__ == "__main__":
    main()
