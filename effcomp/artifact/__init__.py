"""The folder that compression writes, and the file formats of its weights."""
