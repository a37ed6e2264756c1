"""The work around the domain: ingest, datasets, training, evaluation, registry. Knows Ray and MLflow, not Prefect."""
