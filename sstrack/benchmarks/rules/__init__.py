"""Named scoring rules: each module says for its rules what happens to frames and rows that are not plain."""
