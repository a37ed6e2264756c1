"""The record of trainings and the registry of models, in MLflow. Every call names its store; no global state."""
