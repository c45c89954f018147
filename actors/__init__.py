"""Who owns what, who restarts whom: the only home of Ray."""
