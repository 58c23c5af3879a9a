"""`python -m sslig` is the command `sslig`."""

import sys

from sslig.cli.main import main

sys.exit(main())
