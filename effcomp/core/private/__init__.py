"""All uses of private interfaces of Hydra, MLflow and transformers, which a new version may change without notice."""
