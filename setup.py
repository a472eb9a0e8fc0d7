"""Maps the rooms of the repository onto the package ``srbench`` (pyproject.toml cannot rename what it finds)."""

from setuptools import find_namespace_packages, setup

ROOMS = {
    "srbench": "bench",
    "srbench.modules": "modules",
    "srbench.datamodules": "datamodules",
    "srbench.configs": "configs",
}

setup(
    package_dir=ROOMS,
    packages=[
        package
        for room, folder in ROOMS.items()
        for package in (room, *(f"{room}.{sub}" for sub in find_namespace_packages(folder, exclude=["*__pycache__*"])))
    ],
)
