-- Prefect's own database is made by the image; MLflow and its users have one each.
CREATE DATABASE mlflow;
CREATE DATABASE mlflow_auth;
