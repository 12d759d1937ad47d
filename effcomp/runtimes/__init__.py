"""Who executes an artifact: each runtime turns the folder into a function from a batch to logits."""
