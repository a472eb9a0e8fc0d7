"""Parts of networks that two or more methods use, under their architecture's names."""
