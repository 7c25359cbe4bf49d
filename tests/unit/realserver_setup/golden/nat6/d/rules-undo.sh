#!/bin/sh
# d: deletes all rules. May be run twice. The director's process must be running.
set -e

ippfvsadm -C
