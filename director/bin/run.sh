# Sourced by the tools in this folder: runs the module director.$tool of the checkout that contains $here,
# without site packages, which it does not need.
. "${here%/*}/streams.sh"
python=${LVS_PYTHON:-/usr/bin/python3}
command -v "$python" > /dev/null || {
    echo "$tool: $python was not found: install Python 3.10 or later, or name one in LVS_PYTHON." >&2
    exit 2
}
LVS_CHECKOUT=${here%/director/bin/*} exec "$python" -S -E -c "
import os, sys
sys.path.insert(0, os.environ.pop('LVS_CHECKOUT'))
from director.$tool import main
sys.exit(main(sys.argv[1:]))" "$@"
