"""Private interfaces of Hydra and transformers, which a new version may change without a word: all of them, here."""
