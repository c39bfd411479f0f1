"""``python -m tokenmask`` and ``torchrun -m tokenmask``: the same as the ``tokenmask`` command."""

import sys

from tokenmask.cli import main

if __name__ == "__main__":
    sys.exit(main())
