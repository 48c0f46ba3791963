"""How fast the model server answers, beside its limits and its peers. Run by `make bench-serving`."""
