#!/bin/sh
# d: empties the table of rules. It may be run twice. The director's process must be running.
set -e

ippfvsadm -C
