"""Training: a pretrained model and a task's training examples in, a checkpoint folder out."""
