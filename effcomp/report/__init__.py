"""Tables, figures and one HTML page from records; it reads records alone."""
