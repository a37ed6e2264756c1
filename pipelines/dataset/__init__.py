"""Datasets on storage: manifests, shard indexes, loading. Ingest writes them, training reads them."""
