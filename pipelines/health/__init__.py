"""Is all well: how old the champion is, what it has not learnt from, what went wrong on the way in."""
