"""For teachers only: marks and reports from submissions, and the archive for students."""
