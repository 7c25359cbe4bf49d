# Sourced by programs that need packages: runs $program of the checkout that contains this file, $here, with the
# Python that ./inv has set up, or else the system's. LVS_PYTHON names another.
. "${here%/*}/streams.sh"
python=${here%/director/bin/*}/.venv/bin/python
[ -x "$python" ] || python=/usr/bin/python3
python=${LVS_PYTHON:-$python}
command -v "$python" > /dev/null || {
    echo "$program: $python was not found: install Python 3.10 or later, or name one in LVS_PYTHON." >&2
    exit 2
}
exec "$python" "${here%/*}/start.py" "$program" "$@"
