"""What a dataset holds, for people."""
