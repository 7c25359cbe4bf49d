"""Exercises in which something is made: blanks in scripts and tables, predictions, a scheduler."""
