#!/bin/sh
# d: the rules of VS-NAT: who may get the connections to which port of the VIP.
# It may be run twice; rules-undo.sh takes it back. The director's process must be running.
set -e

# Start with an empty table.
ippfvsadm -C

# Virtual service, real server; where there is no weight (-w) it is 1.
ippfvsadm -A -t 203.0.113.1:80 -R 172.16.0.2:80
ippfvsadm -A -t 203.0.113.1:80 -R 172.16.0.3:8000 -w 2
ippfvsadm -A -t 203.0.113.1:21 -R 172.16.0.3:21
ippfvsadm -A -u 203.0.113.1:53 -R 172.16.0.2:53
