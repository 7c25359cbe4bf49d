"""One run of a lab, from the request to the report: build it, record it, let people in, report."""
