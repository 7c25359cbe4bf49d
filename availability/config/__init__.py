"""keepalived.conf: words (text.py), keywords (keywords.py), values (values.py), meaning (model.py)."""


class ConfigError(Exception):
    """A file can't be used: one sentence that begins with the file and the line."""
