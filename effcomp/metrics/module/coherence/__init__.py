"""`evaluate.load` on this folder gives the semantic coherence score."""
