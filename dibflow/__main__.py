"""``python -m dibflow``: the same as the command ``dibflow``."""

import sys

from dibflow.cli.main import main

sys.exit(main())
