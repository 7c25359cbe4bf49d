# lvs-director and lvs-explain read this file: it starts $program of the checkout that $here lies in, by
# the Python that ./inv has made for it, or else the system's. LVS_PYTHON names another.
python=${here%/director/bin/*}/.venv/bin/python
[ -x "$python" ] || python=/usr/bin/python3
exec "${LVS_PYTHON:-$python}" "${here%/*}/start.py" "$program" "$@"
