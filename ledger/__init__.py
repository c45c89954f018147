"""The journal, and what is folded from it: the truth, and the views of it."""
