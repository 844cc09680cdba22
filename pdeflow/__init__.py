"""Write a PDE once: generate its data, train operators on it, solve it to a verified tolerance."""
