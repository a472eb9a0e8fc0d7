"""The methods, a folder each; ``srbench.modules.EDSR`` finds its folder by itself."""

from srbench.catalog import lazy_room

if __name__ != "srbench.modules":
    raise ImportError("import srbench.modules: the bare room name would be a second, different package")

__getattr__, __dir__ = lazy_room("modules")
