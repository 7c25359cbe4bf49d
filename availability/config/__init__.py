"""keepalived.conf: words (text.py), keywords (keywords.py), values (values.py), meaning (model.py)."""


class ConfigError(Exception):
    """A configuration file can't be used. The message is one sentence that begins with FILE:LINE."""
