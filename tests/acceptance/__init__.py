"""The product as a whole, over its own doors: the main job under faults, bad input, bad handlers."""
