"""`python -m gossipsa`."""

import sys

from gossipsa.cli import main

sys.exit(main())
