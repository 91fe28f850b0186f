"""How much GPU memory a training will take, told from its settings and the model's shape: pure, without a GPU."""
