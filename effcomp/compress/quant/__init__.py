"""Number formats: each quantiser says what is stored, and how a model is built from what was stored."""
