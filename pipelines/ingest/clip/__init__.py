"""One clip, given its frames: its scores, verdicts and hash, and where its target may be."""
