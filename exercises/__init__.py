"""The exercises: two files each, NAME.py and NAME.md; classroom/catalogue.py says what is in them."""
