"""What an ingest keeps beside the dataset until it is published, and what it remembers of earlier runs."""
