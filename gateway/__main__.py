"""`python -m gateway` is `inkpush`, for whoever has the package and not the command."""

from __future__ import annotations

import sys

from gateway.cli import main

sys.exit(main())
