"""Methods that choose the codes of a linear layer's weights."""
