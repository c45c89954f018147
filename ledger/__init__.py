"""The journal, and what is folded from it: the truth, and the views of it, in memory and in SQL."""
