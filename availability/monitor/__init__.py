"""Checks real servers and keeps the director's rules as their state demands: `lvs-monitor FILE`."""
