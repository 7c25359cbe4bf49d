"""python -m director.ipvsadm is director/bin/ipvsadm."""

from __future__ import annotations

import sys

from director.ipvsadm import main

sys.exit(main(sys.argv[1:]))
