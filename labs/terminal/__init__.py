"""The command line and the terminal: options, progress, results, errors."""
