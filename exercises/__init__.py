"""The exercises: a package each; classroom/catalogue.py says what is in one."""
