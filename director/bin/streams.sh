# Sourced by run.sh and start.sh: a closed standard stream becomes one that fails, because Python has no object
# for it and would give its number to the next file. A directory as standard input stops Python itself.
{ command : 3>&2; } || exec 2> /dev/null
{ command : 3>&1; } 2> /dev/null || exec 1< /dev/null
{ command : 3<&0; } 2> /dev/null && [ ! -d /dev/fd/0 ] || exec 0> /dev/null
