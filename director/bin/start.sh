# Sourced by programs that need packages: runs $program of the checkout that contains this file, $here, with the
# Python that ./inv has set up, or else the system's. LVS_PYTHON names another.
python=${here%/director/bin/*}/.venv/bin/python
[ -x "$python" ] || python=/usr/bin/python3
python=${LVS_PYTHON:-$python}
. "${here%/*}/ready.sh"
exec "$python" "${here%/*}/start.py" "$program" "$@"
