# Sourced by the tools in this folder: runs the module director.$tool of the checkout that contains $here,
# without site packages, which it does not need.
program=${here##*/} python=${LVS_PYTHON:-/usr/bin/python3}
. "${here%/*}/ready.sh"
LVS_CHECKOUT=${here%/director/bin/*} exec "$python" -S -E -c "
import os, sys
sys.path.insert(0, os.environ.pop('LVS_CHECKOUT'))
from director.$tool import main
sys.exit(main(sys.argv[1:]))" "$@"
