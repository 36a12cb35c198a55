"""The cost of products, as `python -m benchmarks.products`."""
