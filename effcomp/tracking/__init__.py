"""Where runs are logged: MLflow, or nowhere."""
