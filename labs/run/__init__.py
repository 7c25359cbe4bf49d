"""One run of a lab, from the request to the report: options, build, prompt, result."""
