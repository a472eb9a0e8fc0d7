"""HR-aware self-supervised super-resolution (Zhang and Yao, arXiv 2411.16175)."""

__all__: list[str] = []
