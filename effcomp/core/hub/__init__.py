"""The Hugging Face Hub: repositories at a commit, their files in the client's cache, and refusals in one line."""
