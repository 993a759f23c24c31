"""``python -m torchmetrics_majorscore.cli``."""

import sys

from torchmetrics_majorscore.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
