"""python -m director.ipvsadm: the same as director/bin/ipvsadm."""

from __future__ import annotations

import sys

from director.ipvsadm import main

sys.exit(main(sys.argv[1:]))
