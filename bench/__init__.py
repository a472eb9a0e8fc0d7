"""srbench: real-world image super-resolution, trained, measured and compared the same way."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("srbench")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
