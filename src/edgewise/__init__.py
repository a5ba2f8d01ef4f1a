"""edgewise: Kolmogorov-Arnold networks for PyTorch, from data to formula."""
