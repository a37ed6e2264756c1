"""Datasets on storage: manifests, shard indexes, loading. Ingest writes them; training and the command line read them."""
