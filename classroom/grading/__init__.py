"""For teachers only: from a folder of evidence to marks and reports, and the archive for students."""
