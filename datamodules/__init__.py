"""The data sets, a file each; ``srbench.datamodules.Classical`` finds its file by itself."""

from srbench.catalog import lazy_room

if __name__ != "srbench.datamodules":
    raise ImportError("import srbench.datamodules: the bare room name would be a second, different package")

__getattr__, __dir__ = lazy_room("datamodules")
