"""`python -m core.cli` is the same as `compression-studio`."""

import sys

from core.cli import main

sys.exit(main())
