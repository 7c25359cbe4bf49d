#!/bin/sh
# d: the rules of VS-NAT: the virtual services and their real servers.
# May be run twice; rules-undo.sh undoes it. The director's process must be running.
set -e

# Start with an empty table.
ippfvsadm -C

# Virtual service (-A), real server (-R); the weight (-w) is 1 unless given.
ippfvsadm -A -t '[2001:db8:cb00:71::1]:80' -R '[fd00:ac10::2]:80'
ippfvsadm -A -t '[2001:db8:cb00:71::1]:80' -R '[fd00:ac10::3]:8000' -w 2
