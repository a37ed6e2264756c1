-- The image makes Prefect's database; MLflow has one of its own, with its users in it.
CREATE DATABASE mlflow;
