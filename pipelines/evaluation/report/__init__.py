"""The report that people look at: one HTML page that needs nothing beside it, its figures, and tables as CSV."""
