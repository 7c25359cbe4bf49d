"""What people type and see. It imports next to nothing: a command starts here."""
