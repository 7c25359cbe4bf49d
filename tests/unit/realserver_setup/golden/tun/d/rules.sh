#!/bin/sh
# d: the rules of VS-TUN: who may get the connections to which port of the VIP.
# It may be run twice; rules-undo.sh takes it back. The director's process must be running.
set -e

# Start with an empty table.
ippfvsadm -C

# Virtual service, real server; where there is no weight (-w) it is 1.
ippfvsadm -A -t 203.0.113.1:80 -R 192.0.2.2:80
ippfvsadm -A -t 203.0.113.1:80 -R 192.0.2.34:80
ippfvsadm -A -t 203.0.113.1:21 -R 192.0.2.2:21
ippfvsadm -A -t 203.0.113.1:21 -R 192.0.2.34:21
