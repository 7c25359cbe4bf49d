# Sourced by run.sh and start.sh before they become $python for $program: the streams and the Python must be fit.
# A closed standard stream becomes one that fails, because Python has no object for it and would give its number
# to the next file. A directory as standard input stops Python itself.
{ command : 3>&2; } || exec 2> /dev/null
{ command : 3>&1; } 2> /dev/null || exec 1< /dev/null
{ command : 3<&0; } 2> /dev/null && [ ! -d /dev/fd/0 ] || exec 0> /dev/null
command -v "$python" > /dev/null || {
    echo "$program: $python was not found: install Python 3.10 or later, or name one in LVS_PYTHON." >&2
    exit 2
}
