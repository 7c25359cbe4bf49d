#!/bin/sh
# d: the rules of VS-TUN: the virtual services and their real servers.
# May be run twice; rules-undo.sh undoes it. The director's process must be running.
set -e

# Start with an empty table.
ippfvsadm -C

# Virtual service (-A), real server (-R); the weight (-w) is 1 unless given.
ippfvsadm -A -t 203.0.113.1:80 -R 192.0.2.2:80
ippfvsadm -A -t 203.0.113.1:80 -R 192.0.2.34:80
ippfvsadm -A -t 203.0.113.1:21 -R 192.0.2.2:21
ippfvsadm -A -t 203.0.113.1:21 -R 192.0.2.34:21
