"""`python -m service`: the entry point of the image."""

import sys

from service import cli

sys.exit(cli.main())
